"""The fleet: instances of the real cache, each on its own event loop, and the calls of their users.

No part of the cache is replaced: an ``AioEngine`` gets a clock, randomness and tokens, and dials a unix socket that
leads into the simulated network. The users' calls, loads and answers go to the model.

In plans with an odd seed, near removes few entries as it does many: they stay, dead, until they are buried.
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from fleetcache.api.namespace import Namespace
from fleetcache.api.scope import ALL, Scope
from fleetcache.engine.aio.engine import AioEngine
from fleetcache.format.keys import Target
from fleetcache.policy.options import CallOptions
from fleetcache.shared.recovery import _history
from fleetcache.wire.link_state import LinkState
from tests.simulation.loop import SimLoop
from tests.simulation.model import NEVER, Load, Violation
from tests.simulation.users import Users

__all__ = ["SPACE", "Instance"]

# The one namespace: the keys of a plan that are in it begin with its name and a colon.
SPACE = "n"


class _Named(AioEngine):
    """An engine named by the plan on each of its event loops; the engine's own name holds the host and the process."""

    named = ""

    def _build(self) -> None:
        super()._build()
        self.instance = self.named


class _Generational(_Named):
    """An engine that ends entries by their generation at every removal of a tag, however few they are."""

    def _build(self) -> None:
        super()._build()
        self.near.AT_ONCE = 0


class Instance(Users):
    """One life of one process.

    Args:
        run: The run that it belongs to.
        name: The name, the same for every life at this place.
        life: The number of the life.
    """

    def __init__(self, run: Any, name: str, life: int) -> None:
        super().__init__(run, name)
        self.life, plan = life, run.plan
        self.loop = SimLoop(self.world, name, run.network.connect)  # type: ignore[abstract] # as far as the cache uses it
        self.world.loops.append(self.loop)
        draw = random.Random(f"{plan.seed}:{name}:{life}")
        self._draw = draw
        kind = _Generational if plan.seed % 2 else _Named
        self.engine = kind(run.settings, clock=lambda: self.world.now, random=draw.random, token=draw.randbytes)
        self.engine.instance = self.engine.named = f"{name}{life}"
        defaults = CallOptions(ttl=run.settings.ttl, stale=0.0, tags=ALL, offline_ttl=run.settings.offline_ttl)
        self.cache = Namespace(Scope(self.engine, "", ALL, defaults))
        self.views = {"": self.cache, SPACE: self.cache.namespace(SPACE)}
        self.link: LinkState | None = None
        self._away_since: float | None = self.world.now
        self._repeats: list[Target] = []  # removals that the handshake under way repeats
        self._held: dict[str, Any] = {}  # near's entries at the last look
        self.tasks: set[asyncio.Task[Any]] = set()
        self.opening = self.start(self.engine.ensure_ready(), "enter")

    def start(self, coro: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Start a task on this process's loop."""
        task: asyncio.Task[Any] = self.loop.create_task(coro, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def says_heard(self) -> bool:
        """Return True unless the instance reports that it is offline, or would at its next look at the clock."""
        link = self.engine.link
        if link.state is LinkState.SUSPECT:
            return bool(self.world.now < link.confirmed + self.model.max_staleness)
        return link.state is LinkState.ONLINE

    def says_online(self) -> bool:
        """Return True if calls go to the server."""
        return self.engine.link.state is LinkState.ONLINE

    def look(self) -> None:
        """After each turn, note a changed link, and judge near's answers."""
        state = self.engine.link.state
        if state is not self.link:
            self.run.tell(
                self.name, f"link {state.value}" + (f" ({self.engine.link.reason})" if self.engine.link.reason else "")
            )
            self.link = state
            if state in {LinkState.ONLINE, LinkState.OFFLINE}:
                self.tried_at = min(self.tried_at, self.world.now)
            if state is LinkState.SUSPECT:
                self.late_before, self.late_at = self.late_at, self.engine.link.since
            if state is LinkState.ONLINE:
                self.online_at = self.world.now
                self.met_at = min(self.met_at, self.online_at)
                self._is_back()
                self.model.is_back(self)
            elif self._away_since is None:
                self._away_since = self.world.now
        if self.says_heard():
            self.heard_at = self.world.now
        if state is not LinkState.ONLINE:
            self.away_at = self.world.now
            self.not_calm_at = max(self.not_calm_at, self.world.now)
            self.model.cut_off(self)
        elif self.engine.coherence.journal.pending:
            self.run.removals_repeated(self.engine.coherence.journal.pending)
        self.look_at_handshake()
        if self.loop.defects:
            raise Violation("defect", f"{self.name}: {self.loop.defects[0]}")

    def look_at_handshake(self) -> None:
        """Note the removals that a handshake repeats, from before they are sent until the server has answered all."""
        before, self._repeats = self._repeats, []
        if self.engine.link.state is LinkState.RECOVERING:
            self._repeats = self.engine.coherence.recent.missed_by(_history(self.engine.recovery._greeting))
        if before or self._repeats:
            self.run.removals_repeated([*before, *self._repeats])

    def _is_back(self) -> None:
        if self._away_since is not None:
            self.run.away.append((self._away_since, self.world.now))
        self._away_since = None

    def spans_away(self) -> list[tuple[float, float]]:
        """Return the times until now at which the instance was not online or its loop stalled."""
        return [*self.stalled, *([] if self._away_since is None else [(self._away_since, self.world.now)])]

    def peek(self) -> None:
        """Judge each answer that near would give to a call now, and its lifetime."""
        model, lifetimes, seen = self.model, self.run.lifetimes, self._held
        at = (model.order(), self.world.now)
        items = self.engine.near.items
        if not items:
            return
        for key, held in items.items():
            if key not in model.keys:
                continue  # the counter, which has no versions
            number = self.cache.peek(key)
            if number is not None:
                bound = self._unconfirmed_bound(number)
                model.judge(number, key, self, at, near=True, last_resort=False, offline_ttl=bound)
                lifetimes.judge(model.values[number], self, self.world.now, stale=False, own=False, joined=False)
            if seen.get(key) is not held and self.engine.near.living(key) is held:
                seen[key] = held
                value = model.values.get(held.value)
                if value is not None:
                    heard = None if self.engine.coherence.tracking else self.run.host.heard.get(self.name)
                    lifetimes.judge_held(value, held, self, heard)

    def stall(self, seconds: float) -> None:
        """Give the loop no turn for this many seconds."""
        self.loop.stall(seconds)
        self.stalled.append((self.world.now, self.loop.busy_until))
        self.not_calm_at = self.loop.busy_until

    def move(self) -> None:
        """Close the event loop over the open cache; the loop's tasks are lost, and the next call runs on a new loop."""
        self.run.tell(self.name, "moves to another event loop")
        for running in self.running:
            running.ended = running.left = self.world.now
        for removal in self.removing:
            self.model.cancelled(removal)
        self.running, self.removing, self.claimed, self.calls = [], [], {}, 0
        old = self.loop
        old.kill()
        for connection in self.run.network.of(self.name):
            connection.transport.give_away()
        self.entered_at, self.tried_at = self.world.now, NEVER
        self.loop = SimLoop(self.world, self.name, self.run.network.connect)  # type: ignore[abstract] # as above
        self.world.loops.append(self.loop)
        self.run.moved(self, old)
        self.run.holder_lost()  # the server is not told that the old loop's loads are over
        self.opening = self.start(self.engine.ensure_ready(), "enter")

    def kill(self, *, silent: bool) -> None:
        """Kill the process; its kernel closes the connections, unless the machine died too."""
        if self.dead:
            return
        self.dead, self.died_at = True, self.world.now
        self._is_back()
        for key in (key for keys in self.asking.values() for key in keys):  # the server may keep a right of each call
            self.model.loads[key].append(Load(key, self, self.world.now, self.world.now))
        self.loop.kill()
        self.run.tell(self.name, "dies" + (" with its machine" if silent else ""))
        for connection in self.run.network.of(self.name):
            connection.down.dead = True
            if silent:
                connection.up.dead = True
            else:
                connection.up.then(connection.gone_at_server)
        self.run.holder_lost()

    def close(self) -> None:
        """Close the cache."""
        self.calls += 1
        self.start(self.engine.close(), "close").add_done_callback(self._ended)
