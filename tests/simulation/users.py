"""The users of one process: their calls, their loaders, and the judgement of their answers."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from fleetcache import Keep, LoadTimeout, NoStore
from fleetcache.errors import Unavailable
from tests.simulation.judging import OPERATION_TIMEOUT, Judging
from tests.simulation.model import Load as Running
from tests.simulation.model import Removal, Violation
from tests.simulation.plan import Load, Op
from tests.simulation.watched import Seen, Watched

__all__ = ["DeclaredError", "LoaderError", "Users"]


class LoaderError(Exception):
    """The error of a user's loader."""


class DeclaredError(LoaderError):
    """An error that belongs to a result; its argument is the number of the value that stands for it."""


class Users(Judging):
    """The calls of one process; arguments as for ``Judging``."""

    def call(self, op: Op) -> None:
        """Begin a user's call."""
        task = self.start(self._call(op), op.verb)
        self.calls += 1
        self.asking[task] = [key for key in op.keys if key in self.model.loads]  # not the tags
        task.add_done_callback(self._ended)
        if op.cancel is not None:
            self.loop.call_later(op.cancel, task.cancel)

    @abstractmethod
    def start(self, coro: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Start a task on this process's loop."""

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self.calls -= 1
        self.asking.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self.run.failed(task.exception())

    def ask_at_the_end(self, key: str) -> None:
        """Read a key after the last event."""

        async def ask() -> None:
            op = Op(self.world.now, self.name, "get_or_set", [key])
            outcome = await self._get_or_set(op, (self.model.order(), self.world.now), Seen())
            self.run.tell(self.name, f"at the end {key} -> {outcome}")

        self.calls += 1
        self.start(ask(), "ask").add_done_callback(self._ended)

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
        except LoadTimeout as error:
            if error.over_limit and self.run.plan.load_limit is not None:
                outcome = "raises LoadTimeout over its load_limit"
            elif op.load_timeout is None or self.world.now < began[1] + op.load_timeout - 0.001:
                raise Violation("never down", f"{self.name}: {op.verb} {names} raised LoadTimeout too early") from None
            else:
                outcome = "raises LoadTimeout"
        except (LoaderError, Unavailable) as error:
            outcome = f"raises {type(error).__name__}"
        except Violation:
            raise
        except Exception as error:
            if self.dead or self.run.over:
                return  # a finaliser of the dead process's remains
            raise Violation("never down", f"{self.name}: {op.verb} {names} raised {error!r}") from error
        tell(self.name, f"{op.verb} {names} -> {outcome}")
        self._check_deadline(op, began[1], online=online)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _watched(self, coro: Coroutine[Any, Any, Any], seen: Seen) -> Any:
        return await Watched(coro, self.engine.counters, self.says_online, seen)

    def _view(self, key: str) -> tuple[Any, str]:
        """Return the cache or the namespace of a key, and its name there."""
        space, _, name = key.rpartition(":")
        return self.views[space], name

    async def _get(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        view, name = self._view(op.keys[0])
        number = await self._watched(view.get(name, allow_stale=op.stale > 0), seen)
        return "absent" if number is None else self._judge(number, op, op.keys[0], began, seen, stale=op.stale > 0)

    async def _get_many(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        names = {self._view(key)[1]: key for key in op.keys}
        found = await self._watched(self._view(op.keys[0])[0].get_many(list(names)), seen)
        seen.near = seen.partly_near
        told = [f"{name}: {self._judge(it, op, names[name], began, seen, stale=False)}" for name, it in found.items()]
        return ", ".join(told) or "absent"

    def _options(self, op: Op) -> dict[str, Any]:
        options: dict[str, Any] = {"ttl": op.ttl, "stale": op.stale, "tags": self.model.keys[op.keys[0]], "type": int}
        if (offline_ttl := self._own_offline_ttl(op)) is not None:
            options["offline_ttl"] = offline_ttl
        if op.load_timeout is not None and op.verb in {"get_or_set", "refresh"}:
            options["load_timeout"] = op.load_timeout
        return options

    async def _get_or_set(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        key = op.keys[0]
        view, name = self._view(key)
        loader = self._loader(op, key, began[1])
        errors = {} if op.errors is None else {"errors": {DeclaredError: op.errors}}
        try:
            number = await self._watched(
                view.get_or_set(name, loader, early=op.early, **errors, **self._options(op)), seen
            )
        except DeclaredError as error:
            return f"raises {self._judge_error(error.args[0], op, key, began, seen)}"
        return self._judge(number, op, key, began, seen, stale=True)

    async def _refresh(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        key = op.keys[0]
        view, name = self._view(key)
        number = await self._watched(view.refresh(name, self._loader(op, key, began[1]), **self._options(op)), seen)
        told = self._judge(number, op, key, began, seen, stale=True)
        if self.model.values[number].op is not op and not seen.last_resort:
            raise Violation("values", f"{self.name}: refresh of {key} answered {told}, which it did not load")
        return told

    async def _get_or_set_many(self, op: Op, began: tuple[int, float], seen: Seen) -> str:
        names = {self._view(key)[1]: key for key in op.keys}

        async def loader(asked: list[str]) -> dict[str, Any]:
            loaded = await self._load([names[name] for name in asked], op, began[1])
            return {name: loaded[names[name]] for name in asked}

        view = self._view(op.keys[0])[0]
        found = await self._watched(view.get_or_set_many(list(names), loader, **self._options(op)), seen)
        seen.near = seen.partly_near
        if set(found) != set(names):
            raise Violation("values", f"{self.name}: get_or_set_many answered {sorted(found)} for {op.keys}")
        told = [f"{name}: {self._judge(it, op, names[name], began, seen, stale=True)}" for name, it in found.items()]
        return ", ".join(told)

    def _loader(self, op: Op, key: str, asked: float) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def loader() -> Any:
            return (await self._load([key], op, asked))[key]

        return loader

    async def _load(self, keys: list[str], op: Op, asked: float) -> dict[str, Any]:
        """Load as a user's loader does."""
        model, tell, load = self.model, self.run.tell, op.load
        self._check_held(op, asked)
        declares = op.errors is not None and op.verb == "get_or_set"
        self.run.look_at_handshakes()
        loads = [model.load_began(key, self, asked, self.run.calm, declares=declares) for key in keys]
        self.running += loads
        for one in loads:
            self.run.history[one.key].append(one)
        tell(
            self.name,
            f"loads {', '.join(keys)}: source has version {', '.join(str(model.versions[key]) for key in keys)}",
        )
        versions = {key: model.versions[key] for key in keys}
        began = started = self.world.now
        limit = self.run.plan.load_limit
        try:
            await self._take_time(load, loads)
            if load.late:
                versions = {key: model.versions[key] for key in keys}
                began = self.world.now
        except asyncio.CancelledError:
            for one in loads if limit is not None and self.world.now - started >= limit - 0.001 else ():
                model.load_failed(one)
            raise
        finally:
            if not self.dead:
                for one in loads:
                    one.ended = min(one.ended, self.world.now)
                self.running = [one for one in self.running if one not in loads]
                if any(one.second and self.run.was_holder_lost(one.began) for one in loads):
                    self.run.holder_lost()  # it has renewed the lost holder's placeholder
        values = {key: model.value(key, versions[key], f"loaded by {self.name}", began) for key in keys}
        for value in values.values():
            value.loader, value.made, value.op, value.started = self, self.world.now, op, started
            self._bound(value, op)
        if load.fate == "declared":
            for one in loads:
                model.load_declared(one, op.errors or 0.0, sure=self.run.plan.maxmemory is None)
            raise DeclaredError(values[keys[0]].number)
        for key in keys:
            model.errors.pop(key, None)
        tell(self.name, f"has loaded {', '.join(f'{key} as value {value.number}' for key, value in values.items())}")
        return {key: self._as_told(value.number, load) for key, value in values.items()}

    async def _take_time(self, load: Load, loads: list[Any]) -> None:
        if load.fate == "blocks":
            self.stall(load.take)
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(load.take)
        if load.fate == "fails":
            for one in loads:
                self.model.load_failed(one)
            raise LoaderError
        if load.fate == "dies":
            self.kill(silent=False)
            await asyncio.sleep(0)
        if load.fate == "cancels":
            raise asyncio.CancelledError

    @abstractmethod
    def stall(self, seconds: float) -> None:
        """Give the loop no turn for this many seconds."""

    @abstractmethod
    def kill(self, *, silent: bool) -> None:
        """Kill the process."""

    def _as_told(self, number: int, load: Load) -> Any:
        if load.nostore:
            return NoStore(number)
        return number if load.keep is None else Keep(number, ttl=load.keep[0], stale=load.keep[1])

    # -- manual claims ---------------------------------------------------------------------------------------------

    async def _claim(self, op: Op, began: tuple[int, float], _seen: Seen) -> str:
        """Take the claim, work for a while, release it."""
        key = op.keys[0]
        view, name = self._view(key)
        claim = await view.claim(name, ttl=op.ttl, wait=op.wait)
        if claim is None:
            return "another has it"
        working = Running(key, self, self.world.now, began[1])
        try:
            self.run.history[key].append(working)  # a call that needs the claim waits for it as for a load
            self.model.claims[key].append(working)
            self.run.claims.begin(key, self)
            await asyncio.sleep(op.load.take)
        finally:
            working.ended = self.world.now
            self.run.claims.end(key, self)
            given = await claim.release()
        return "had it" if given else "it was lost"

    # -- writing ---------------------------------------------------------------------------------------------------

    async def _remove(self, removal: Removal, op: Op, what: Callable[[], Coroutine[Any, Any, Any]]) -> str:
        """Tell the cache of a change; ``strict`` tells whether it was acknowledged."""
        shown = ", ".join(f"{key} version {version}" for key, version in removal.versions.items())
        self.run.tell(self.name, f"source now has {shown}")
        acked = False
        self.removing.append(removal)
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
        finally:
            if removal in self.removing:
                self.removing.remove(removal)
        self.model.returned(removal, acked=acked)
        return "acknowledged" if acked else "returned"

    async def _delete(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        removal = self.model.change("delete", self, op.keys, [("e", key) for key in op.keys])
        view, names = self._view(op.keys[0])[0], [self._view(key)[1] for key in op.keys]
        return await self._remove(removal, op, lambda: view.delete_many(names, strict=op.strict))

    async def _tags(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        tag = op.keys[0]
        keys = [key for key, tags in self.model.keys.items() if tag in tags]
        removal = self.model.change(f"invalidate_tags {tag}", self, keys, [("t", tag)])
        return await self._remove(removal, op, lambda: self.cache.invalidate_tags(tag, strict=op.strict))

    async def _clear(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        removal = self.model.change("clear", self, list(self.model.keys), [("t", "*")])
        return await self._remove(removal, op, lambda: self.cache.clear(strict=op.strict))

    async def _clear_space(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        space = op.keys[0].rpartition(":")[0]
        keys = [key for key in self.model.keys if key.startswith(f"{space}:")]
        removal = self.model.change(f"clear of {space}", self, keys, [("t", f"*{space}")])
        return await self._remove(removal, op, lambda: self.views[space].clear(strict=op.strict))

    async def _add(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        key = op.keys[0]
        view, name = self._view(key)
        value = self.model.value(key, self.model.versions[key], f"added by {self.name}")
        value.writer = writer = Removal("add", self, {}, [], self.world.now)
        self._bound(value, op)
        value.slack = 2 * OPERATION_TIMEOUT
        self.model.disturb(key)  # it takes the place of a lease
        added = await view.add(name, value.number, **self._options(op))
        self.model.disturb(key)
        writer.returned_at = self.world.now
        if added:
            writer.over = self.world.now
        return "added" if added else "not added"

    async def _touch(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        key = op.keys[0]
        view, name = self._view(key)
        touching = self.run.touches.begin(key, op.ttl)
        touched = await view.touch(name, op.ttl)
        held = self.engine.near.living(key)
        here = held is not None and held.unconfirmed
        self.run.touches.end(touching, touched=touched and not here and self.not_calm_at < touching.began)
        if touched and here:
            self.model.values[held.value].touched = (self.world.now, op.ttl)
        return "touched" if touched else "not touched"

    async def _incr(self, _op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        return str(await self.cache.incr("counter", ttl=60))

    async def _set(self, op: Op, _began: tuple[int, float], _seen: Seen) -> str:
        key = op.keys[0]
        view, name = self._view(key)
        removal = self.model.change("set", self, [key], [("e", key)])
        value = self.model.value(key, removal.versions[key], f"set by {self.name}")
        value.writer = removal
        self._bound(value, op)
        value.slack = op.pause + 2 * OPERATION_TIMEOUT
        options = self._options(op)
        return await self._remove(removal, op, lambda: view.set(name, value.number, strict=op.strict, **options))
