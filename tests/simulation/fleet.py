"""The fleet: instances of the real cache, each on an event loop of its own, and the calls their users make.

Nothing of the cache is replaced: an ``Engine`` is given a clock, randomness and tokens, and dials a unix socket that
leads into the simulated network. What users do, what their loaders do and what they got goes to the model.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from fleetcache.engine import Engine
from fleetcache.errors import Unavailable
from fleetcache.freshness import Freshness
from fleetcache.verbs import ALL, AsyncVerbs
from fleetcache.wire.link import LinkState
from tests.simulation.loop import SimLoop
from tests.simulation.model import NEVER, Removal, Violation
from tests.simulation.plan import Load, Op

__all__ = ["Instance", "LoaderError", "Seen"]

OPERATION_TIMEOUT = 0.25
# Timers look every 2 ms, and bytes that wait in the socket may put a judgement off.
SLACK = 0.12
# The longest lease, and the time after it that waiters spread over.
LEASE = 10.1


class LoaderError(Exception):
    """What a user's loader raises."""


class Seen:
    """How a call came to its answer."""

    __slots__ = ("joined", "last_resort", "near", "offline", "partly_near", "steps")

    def __init__(self) -> None:
        self.near = self.partly_near = self.joined = self.last_resort = self.offline = False
        self.steps = 0


class _Watched:
    """A coroutine, awaited step by step, so that it is known which step answered and from where."""

    def __init__(self, coro: Coroutine[Any, Any, Any], counters: Any, heard: Callable[[], bool], seen: Seen) -> None:
        self._coro, self._counters, self._heard, self._seen = coro, counters, heard, seen

    def __await__(self) -> Any:
        steps, counters, seen = self._coro.__await__(), self._counters, self._seen
        thrown: BaseException | None = None
        sent: Any = None
        last = counters.offline_stale_hits
        while True:
            seen.steps += 1
            near, stale, joins = counters.near_hits, counters.stale_hits, counters.joins
            try:
                asked = steps.send(sent) if thrown is None else steps.throw(thrown)
            except StopIteration as ended:
                return ended.value
            finally:
                seen.joined = seen.joined or counters.joins != joins
                # Without a pause only near can answer. After one it does when the server could not be heard.
                here = counters.near_hits != near or (counters.stale_hits != stale and not self._heard())
                seen.near = here or seen.steps == 1
                seen.partly_near = seen.partly_near or seen.near
                seen.last_resort = counters.offline_stale_hits != last
            thrown = sent = None
            try:
                sent = yield asked
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine, whatever it is
                thrown = error


class Instance:
    """One life of one process.

    Args:
        run: The run it is part of.
        name: The same for every life at this place.
        life: Which life it is.
    """

    def __init__(self, run: Any, name: str, life: int) -> None:
        self.run, self.name, self.life = run, name, life
        self.model, self.world, plan = run.model, run.world, run.plan
        self.dead = False
        self.loop = SimLoop(self.world, name, run.network.connect)  # type: ignore[abstract] # only what the cache uses
        self.world.loops.append(self.loop)
        draw = random.Random(f"{plan.seed}:{name}:{life}")
        self._draw = draw
        self.engine = Engine(run.settings, clock=lambda: self.world.now, random=draw.random, token=draw.randbytes)
        self.engine.instance = f"{name}{life}"
        defaults = Freshness(ttl=run.settings.ttl, stale=0.0, tags=ALL, offline_ttl=run.settings.offline_ttl)
        self.cache = AsyncVerbs(self.engine, "", ALL, defaults)
        self.met_at = self.online_at = NEVER
        self.link: LinkState | None = None
        self.not_calm_at = self.world.now
        self.stalled: list[tuple[float, float]] = []
        self.calls = 0
        self.holders_lost = 0.0
        self.tasks: set[asyncio.Task[Any]] = set()
        self.opening = self.start(self.engine.enter(), "enter")

    def start(self, coro: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run something on this process's loop."""
        task: asyncio.Task[Any] = self.loop.create_task(coro, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def says_heard(self) -> bool:
        """Whether it does not say that it is offline, or would at the next look at the clock."""
        link = self.engine.link
        if link.state is LinkState.SUSPECT:
            return bool(self.world.now < link.confirmed + self.model.max_staleness)
        return link.state is LinkState.ONLINE

    def says_online(self) -> bool:
        """Whether calls go to the server."""
        return self.engine.link.state is LinkState.ONLINE

    def look(self) -> None:
        """After each turn: what changed in the link, and what near would say now."""
        state = self.engine.link.state
        if state is not self.link:
            self.run.tell(
                self.name, f"link {state.value}" + (f" ({self.engine.link.reason})" if self.engine.link.reason else "")
            )
            self.link = state
            if state is LinkState.ONLINE:
                self.online_at = self.world.now
                self.met_at = min(self.met_at, self.online_at)
        if state is not LinkState.ONLINE:
            self.not_calm_at = max(self.not_calm_at, self.world.now)
        if self.loop.defects:
            raise Violation("defect", f"{self.name}: {self.loop.defects[0]}")

    def peek(self) -> None:
        """What near would answer to a call that began now."""
        model = self.model
        at = (model.order(), self.world.now)
        for key in self.engine.near.items:
            number = self.cache.peek(key) if key in model.keys else None  # not the counter, which has no versions
            if number is not None:
                model.judge(number, key, self, at, near=True, last_resort=False)

    def stall(self, seconds: float) -> None:
        """Its loop has no turn for so long."""
        self.loop.stall(seconds)
        self.stalled.append((self.world.now, self.loop.busy_until))
        self.not_calm_at = self.loop.busy_until

    def kill(self, *, silent: bool) -> None:
        """The process dies; its kernel says goodbye, unless the machine died too."""
        if self.dead:
            return
        self.dead = True
        self.loop.kill()
        self.run.tell(self.name, "dies" + (" with its machine" if silent else ""))
        for connection in self.run.network.of(self.name):
            connection.down.dead = True
            if silent:
                connection.up.dead = True
            else:
                connection.up.then(connection.gone_at_server)
        self.run.holder_lost()

    def ask_at_the_end(self, key: str) -> None:
        """Read a key when everything is over."""

        async def ask() -> None:
            op = Op(self.world.now, self.name, "get_or_set", [key])
            began = (self.model.order(), self.world.now)
            seen = Seen()

            async def loader() -> int:
                return (await self._load([key], op.load, began[1]))[key]

            number = await self._watched(self.cache.get_or_set(key, loader, type=int, **self._options(op)), seen)
            self.run.tell(self.name, f"at the end {key} -> {self._judge(number, key, began, seen)}")

        self.calls += 1
        self.start(ask(), "ask").add_done_callback(self._ended)

    def close(self) -> None:
        """Close the cache."""
        self.calls += 1
        self.start(self.engine.close(), "close").add_done_callback(self._ended)

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, op: Op) -> None:
        """A user's call comes in."""
        task = self.start(self._call(op), op.verb)
        self.calls += 1
        task.add_done_callback(self._ended)
        if op.cancel is not None:
            self.loop.call_later(op.cancel, task.cancel)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self.calls -= 1
        if not task.cancelled() and task.exception() is not None:
            self.run.failed(task.exception())

    async def _call(self, op: Op) -> None:
        began, online = (self.model.order(), self.world.now), self.says_online()
        seen = Seen()
        seen.offline = not self.says_heard()
        names = ", ".join(op.keys)
        tell = self.run.tell
        tell(self.name, f"{op.verb} {names} ...")
        outcome = "?"
        try:
            outcome = await getattr(self, f"_{op.verb}")(op, began, seen)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if (task is None or not task.cancelling()) and op.load.fate != "cancels":
                raise Violation("never down", f"{self.name}: {op.verb} {names} ended as cancelled, by nobody") from None
            outcome = "cancelled"
        except (LoaderError, Unavailable) as error:
            outcome = f"raises {type(error).__name__}"
        except Violation:
            raise
        except Exception as error:
            if self.dead or self.run.over:
                return  # what the process left behind is finalised
            raise Violation("never down", f"{self.name}: {op.verb} {names} raised {error!r}") from error
        tell(self.name, f"{op.verb} {names} -> {outcome}")
        self._check_deadline(op, began[1], online=online)

    def _check_deadline(self, op: Op, began: float, *, online: bool) -> None:
        """Promise 4: one operation timeout in all, nothing while offline; and what loads take, here and elsewhere."""
        now = self.world.now
        took = now - began
        away = not online and self.online_at < began and self.met_at < began
        allowed = SLACK + op.pause + (0.0 if away else OPERATION_TIMEOUT)
        if took <= allowed:
            return
        allowed += sum(
            max(0.0, min(until, now) - max(since, began)) + SLACK for since, until in self.stalled if until > began
        )
        if op.verb in {"get_or_set", "refresh", "get_or_set_many"}:
            allowed += self._loading(op.keys, began, now) + 2 * OPERATION_TIMEOUT + op.load.take
            if self.run.holder_lost_at > began - self.run.longest_lease:
                allowed += self.run.longest_lease
            allowed = max(allowed, 0.0)
        if took > allowed:
            raise Violation(
                "deadline", f"{self.name}: {op.verb} {op.keys} took {took:.3f} s, {allowed:.3f} s were allowed"
            )

    def _loading(self, keys: list[str], began: float, now: float) -> float:
        """How long anybody was loading one of the keys meanwhile, with what it takes to hear of it."""
        spans = sorted(
            (max(load.began, began), min(load.ended, now))
            for key in keys
            for load in self.run.history[key]
            if load.ended > began
        )
        total, end, rounds = 0.0, began, 0
        for since, until in spans:
            rounds += 1
            total += max(0.0, until - max(since, end))
            end = max(end, until)
        return total + rounds * 2 * OPERATION_TIMEOUT

    # -- reading ---------------------------------------------------------------------------------------------------

    def _judge(self, number: Any, key: str, began: tuple[int, float], seen: Seen) -> str:
        near = seen.near or (seen.joined and not self._is_own_load(number, began[1]))
        self.model.judge(number, key, self, began, near=near, last_resort=seen.last_resort, offline=seen.offline)
        value = self.model.values[number]
        return f"version {value.version} (value {number}, {'near' if near else 'shared'})"

    def _is_own_load(self, number: Any, since: float) -> bool:
        """Whether it was loaded here meanwhile, and stored: a removal that landed before has refused it then."""
        value = self.model.values.get(number)
        if value is None or value.loader is not self or value.made < since:
            return False
        return bool(self.run.calm(self, value.began - 3 * OPERATION_TIMEOUT))

    async def _watched(self, coro: Coroutine[Any, Any, Any], seen: Seen) -> Any:
        return await _Watched(coro, self.engine.counters, self.says_online, seen)

    async def _get(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        number = await self._watched(self.cache.get(op.keys[0], allow_stale=op.stale > 0), seen)
        return "absent" if number is None else self._judge(number, op.keys[0], began, seen)

    async def _get_many(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        found = await self._watched(self.cache.get_many(op.keys), seen)
        seen.near = seen.partly_near
        return ", ".join(f"{key}: {self._judge(number, key, began, seen)}" for key, number in found.items()) or "absent"

    def _options(self, op: Op) -> dict[str, Any]:
        return {"ttl": op.ttl, "stale": op.stale, "tags": self.model.keys[op.keys[0]]}

    async def _get_or_set(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        key = op.keys[0]

        async def loader() -> int:
            return (await self._load([key], op.load, began[1]))[key]

        options = self._options(op)
        number = await self._watched(self.cache.get_or_set(key, loader, early=op.early, type=int, **options), seen)
        return self._judge(number, key, began, seen)

    async def _refresh(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        key = op.keys[0]

        async def loader() -> int:
            return (await self._load([key], op.load, began[1]))[key]

        number = await self._watched(self.cache.refresh(key, loader, type=int, **self._options(op)), seen)
        return self._judge(number, key, began, seen)

    async def _get_or_set_many(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        async def loader(keys: list[str]) -> dict[str, int]:
            return await self._load(keys, op.load, began[1])

        options = {"ttl": op.ttl, "stale": op.stale, "tags": self.model.keys[op.keys[0]], "type": int}
        found = await self._watched(self.cache.get_or_set_many(op.keys, loader, **options), seen)
        seen.near = seen.partly_near
        if set(found) != set(op.keys):
            raise Violation("values", f"{self.name}: get_or_set_many answered {sorted(found)} for {op.keys}")
        return ", ".join(f"{key}: {self._judge(number, key, began, seen)}" for key, number in found.items())

    async def _load(self, keys: list[str], load: Load, asked: float) -> dict[str, int]:
        """A user's loader."""
        model, tell = self.model, self.run.tell
        loads = [model.load_began(key, self, asked, self.run.calm) for key in keys]
        for one in loads:
            self.run.history[one.key].append(one)
        tell(
            self.name,
            f"loads {', '.join(keys)}: source has version {', '.join(str(model.versions[key]) for key in keys)}",
        )
        versions = {key: model.versions[key] for key in keys}
        began = self.world.now
        try:
            if load.fate == "blocks":
                self.stall(load.take)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(load.take)
            if load.fate == "fails":
                raise LoaderError
            if load.fate == "dies":
                self.kill(silent=False)
                await asyncio.sleep(0)
            if load.fate == "cancels":
                raise asyncio.CancelledError
            if load.late:
                versions = {key: model.versions[key] for key in keys}
                began = self.world.now
        finally:
            if not self.dead:
                for one in loads:
                    one.ended = self.world.now
        values = {key: model.value(key, versions[key], f"loaded by {self.name}", began) for key in keys}
        for value in values.values():
            value.loader, value.made = self, self.world.now
        tell(self.name, f"has loaded {', '.join(f'{key} as value {value.number}' for key, value in values.items())}")
        return {key: value.number for key, value in values.items()}

    # -- writing ---------------------------------------------------------------------------------------------------

    async def _remove(self, removal: Removal, op: Op, what: Callable[[], Coroutine[Any, Any, Any]]) -> str:
        """Tell the cache of a change; whether it was acknowledged is what ``strict`` says."""
        shown = ", ".join(f"{key} version {version}" for key, version in removal.versions.items())
        self.run.tell(self.name, f"source now has {shown}")
        acked = False
        try:
            if op.pause:
                await asyncio.sleep(op.pause)
            await what()
            acked = op.strict
        except Unavailable:
            self.model.returned(removal, acked=False)
            return "not acknowledged, owed"
        except asyncio.CancelledError:
            self.model.cancelled(removal)
            raise
        self.model.returned(removal, acked=acked)
        return "acknowledged" if acked else "returned"

    async def _delete(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        removal = self.model.change("delete", self, op.keys, [("e", key) for key in op.keys])
        return await self._remove(removal, op, lambda: self.cache.delete_many(op.keys, strict=op.strict))

    async def _tags(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        tag = op.keys[0]
        keys = [key for key, tags in self.model.keys.items() if tag in tags]
        removal = self.model.change(f"invalidate_tags {tag}", self, keys, [("t", tag)])
        return await self._remove(removal, op, lambda: self.cache.invalidate_tags(tag, strict=op.strict))

    async def _clear(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        removal = self.model.change("clear", self, list(self.model.keys), [("t", "*")])
        return await self._remove(removal, op, lambda: self.cache.clear(strict=op.strict))

    async def _add(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        key = op.keys[0]
        value = self.model.value(key, self.model.versions[key], f"added by {self.name}")
        value.writer = writer = Removal("add", self, {}, [], self.world.now)
        self.model.disturb(key)  # it takes the place of a lease
        added = await self.cache.add(key, value.number, type=int, **self._options(op))
        self.model.disturb(key)
        writer.returned_at = self.world.now
        if added:
            writer.over = self.world.now
        return "added" if added else "not added"

    async def _touch(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        return "touched" if await self.cache.touch(op.keys[0], op.ttl) else "not touched"

    async def _incr(self, _op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        return str(await self.cache.incr("counter", ttl=60))

    async def _set(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        key = op.keys[0]
        removal = self.model.change("set", self, [key], [("e", key)])
        value = self.model.value(key, removal.versions[key], f"set by {self.name}")
        value.writer = removal
        options = self._options(op)
        return await self._remove(
            removal, op, lambda: self.cache.set(key, value.number, type=int, strict=op.strict, **options)
        )
