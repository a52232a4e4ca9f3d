"""Plays one fault and reports the callers' view: each verb before, during and after it, and each broken promise.

In the first round all calls run at once, so that the fault costs one wait; the second round shows the cost of calls
after that. Then health must give the reason, and an old and a new instance go on. After the end of the fault, no
value that was removed during it may be there, on any instance.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from fleetcache import Cache
from fleetcache.wire.link_state import Link
from fleetcache.wire.reasons import NEEDS_OPERATOR
from tests.reliability.catalogue import Fault
from tests.reliability.limits import TIMEOUT, Limits
from tests.reliability.scene import Scene
from tests.reliability.verbs import ANSWERS, CHANGED, LOADS, OLD, calls, described, lay_out, names_of
from tests.support.servers import Transport
from tests.support.timing import Stalls, timed
from tests.support.waiting import eventually

__all__ = ["Outcome", "Way", "play_all"]

KNOWN_FROM = 2  # the first round in which the cache knows the fault
TRIES = 3  # of a scene that is only late: a defect is late each time, a busy machine is not


@dataclass(frozen=True)
class Way:
    """The settings of a run.

    Attributes:
        variant: Makes the caches.
        settings: The settings of all caches.
        most_rounds: The most rounds of calls; a fault may set fewer.
        turns: The number of scenes that are busy at the same time; a waiting scene is not busy.
        retry_doomed: Seconds between two attempts if only a person can end the fault; the real ones are 5 to 10.
    """

    variant: Callable[..., Cache]
    settings: dict[str, Any]
    most_rounds: int
    turns: asyncio.Semaphore
    retry_doomed: float = Link.BACKOFF_DOOMED


@dataclass
class Outcome:
    """The results of one fault.

    Attributes:
        calls: The number of calls.
        at_first: Answers by verb, in words, until health gives the reason.
        answers: Answers since then.
        first: The longest call of the first round, in seconds.
        coming: The longest first call of an instance that starts during the fault.
        later: The longest later call, with each verb at its fastest: noise is no cost.
        back: Seconds from the end of the fault until the cache is healthy.
        wrong: Broken promises.
        late: Calls that took longer than a promise allows.
    """

    fault: str
    calls: int = 0
    at_first: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    first: float = 0.0
    coming: float = 0.0
    later: float = 0.0
    back: float = 0.0
    wrong: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """All broken promises: wrong and late."""
        return self.wrong + self.late


async def play_all(
    names: Iterable[str],
    faults: Mapping[str, Fault],
    server: tuple[str, Transport],
    way: Way,
    limits: Callable[[], Limits],
    *,
    tries: int = TRIES,
) -> list[Outcome]:
    """Play the faults that the transport can have, several at a time; repeat late scenes, each alone.

    Args:
        names: The names of the faults.
        faults: The faults by name.
        server: The engine and the transport.
        way: The settings of the run.
        limits: Returns the limits at the moment.
        tries: The tries of a scene with late calls and no wrong ones.
    """
    engine, transport = server
    played = [name for name in names if transport in faults[name].transports]
    outcomes = await asyncio.gather(*(play(name, faults[name], engine, transport, way, limits()) for name in played))
    for i, name in enumerate(played):
        for _ in range(tries - 1):
            if outcomes[i].late and not outcomes[i].wrong:
                outcomes[i] = await play(name, faults[name], engine, transport, way, limits())
    return outcomes


async def play(name: str, fault: Fault, engine: str, transport: Transport, way: Way, limits: Limits) -> Outcome:
    """Play the fault on its own server."""
    outcome = Outcome(name)
    async with AsyncExitStack() as stack:
        async with way.turns:
            scene = await asyncio.to_thread(Scene, engine, transport, network=fault.network, password=fault.password)
            stack.push_async_callback(asyncio.to_thread, scene.__exit__)
            performance = _Performance(scene, fault, way, limits, outcome)
            stack.push_async_callback(performance.close)
            await performance.set_the_stage()
            await performance.suffer()
        await performance.mend()
        async with way.turns:
            await performance.look_back()
    return outcome


def _nothing(_scene: Scene) -> None:
    pass


async def _is_well(cache: Cache) -> bool:
    await cache.set("life goes on", 1)
    health = cache.status_now()
    return health.shared and health.reason is None and health.journal == 0


class _Performance:
    def __init__(self, scene: Scene, fault: Fault, way: Way, limits: Limits, outcome: Outcome) -> None:
        self._scene, self._fault, self._way, self._limits, self._outcome = scene, fault, way, limits, outcome
        self._cache, self._newcomer = self._made(scene.url), self._made(scene.url)
        self._rounds = range(min(fault.rounds, way.most_rounds))
        self._last = len(self._rounds)  # the new instance's round
        self._costs: dict[str, list[float]] = defaultdict(list)

    def _made(self, url: str) -> Cache:
        cache = self._way.variant(url, prefix="matrix", **self._way.settings)
        link: Any = cache._engine.link
        link.BACKOFF_DOOMED = self._way.retry_doomed
        link.BACKOFF_FULL = self._way.retry_doomed * Link.BACKOFF_FULL / Link.BACKOFF_DOOMED
        return cache

    @property
    def _link(self) -> Any:
        return self._cache._engine.link

    async def close(self) -> None:
        for cache in (self._cache, self._newcomer):
            await cache.close()

    def _wrong(self, what: str) -> None:
        self._outcome.wrong.append(f"{self._outcome.fault}: {what}")

    def _late(self, what: str) -> None:
        self._outcome.late.append(f"{self._outcome.fault}: {what}")

    async def set_the_stage(self) -> None:
        """Put old values everywhere; the last removals are acknowledged, and newer than the snapshot, if any."""
        cache = self._cache
        await cache.open()
        async with Cache(self._scene.server.url, prefix="matrix", operation_timeout="5s") as writer:
            await lay_out(writer, cache, range(self._last + 1))
            if self._fault.snapshot:
                await asyncio.to_thread(self._scene.tell, "SAVE")
            await writer.delete("known", strict=True)
            await writer.invalidate_tags("known", strict=True)

    # -- while it lasts ----------------------------------------------------------------------------------------------

    async def suffer(self) -> None:
        fault = self._fault
        for number in self._rounds:
            begin = fault.begin if fault.strike or number == 0 else None
            if begin is not None and not fault.during:
                await asyncio.to_thread(begin, self._scene)
            if fault.network and number == 0:
                await asyncio.to_thread(self._change_elsewhere)
            if number == 0 or fault.strike or fault.slow:
                await self._all_at_once(number, begin if fault.during else None)
            else:
                await self._one_by_one(number)
            await self._look_at_what_is_over(range(number + 1), self._cache, "at once")
            if fault.strike:
                await self._time_until_well()
            elif number == 1:
                await self._hear_the_reason()
                if fault.given_up:
                    await eventually(lambda: self._cache.stats().link == "offline" and not self._link.connected, 8)
                await self._come_now()
        self._outcome.later = max((min(costs) for costs in self._costs.values()), default=0.0)
        if fault.silent and self._outcome.later > self._limits.known:
            worst = max(self._costs, key=lambda verb: min(self._costs[verb]))
            self._late(f"{worst} took {self._outcome.later * 1000:.1f} ms although the server is known to be away")

    def _change_elsewhere(self) -> None:
        """Remove keys of near by an instance with a working connection."""
        self._scene.tell("DEL", self._scene.layout.entry("foreign"))

    async def _all_at_once(self, number: int, during: Callable[[Scene], object] | None) -> None:
        strike = asyncio.ensure_future(asyncio.to_thread(during or _nothing, self._scene))
        costs = await self._called_at_once(self._cache, number)
        await strike
        if number == 0 or self._fault.strike:
            self._outcome.first = max(self._outcome.first, *costs.values())
        else:
            for verb, took in costs.items():
                self._costs[verb].append(took)

    async def _called_at_once(self, cache: Cache, number: int) -> dict[str, float]:
        each = calls(cache, number)
        async with Stalls() as stalls:
            timings = await asyncio.gather(*(timed(call) for call in each.values()))
        costs = {verb: max(0.0, took - stalls.seconds) for verb, (took, _) in zip(each, timings, strict=True)}
        for (verb, took), (_, given) in zip(costs.items(), timings, strict=True):
            self._judge(number, verb, took, given)
        return costs

    async def _one_by_one(self, number: int) -> None:
        for verb, call in calls(self._cache, number).items():
            took, given = await timed(call)
            self._judge(number, verb, took, given)
            self._costs[verb].append(took)

    async def _come_now(self) -> None:
        """Start an instance during the fault; it stays, because its removals must last, too."""
        costs = await self._called_at_once(self._newcomer, self._last)
        self._outcome.coming = max(costs.values())

    def _judge(self, number: int, verb: str, took: float, given: object) -> None:
        said = described(verb, given)
        if number < self._last:  # a new instance's near is empty, so that its answers differ
            told = self._outcome.at_first if number < KNOWN_FROM and not self._fault.strike else self._outcome.answers
            told[verb].add(said)
        self._outcome.calls += 1
        if said not in ANSWERS[verb]:
            self._wrong(f"{verb} {said}" if isinstance(given, BaseException) else f"{verb} answered {given!r}")
        most = self._limits.load if verb in LOADS else self._limits.call
        if number == self._last:
            most += TIMEOUT  # the first calls of an instance also wait for its connection
        if took > most:
            self._late(f"{verb} took {took * 1000:.0f} ms, over {most * 1000:.0f}")

    async def _look_at_what_is_over(self, rounds: range, cache: Cache, when: str) -> None:
        names = [*names_of(CHANGED, rounds), "known", "known-tagged"]
        found = await cache.get_many(names)
        found |= {name: OLD for name in names if cache.peek(name) == OLD}
        self._outcome.wrong += [
            f"{self._outcome.fault}: {name} is old {when}" for name in names if found.get(name) == OLD
        ]

    async def _hear_the_reason(self) -> None:
        """Wait for health to give the reason."""
        reasons = self._fault.reasons
        if not reasons:
            return
        try:
            await eventually(lambda: self._cache.status_now().reason in reasons, timeout=4)
        except AssertionError:
            self._wrong(f"health says {self._cache.status_now().reason}, not {' or '.join(reasons)}")

    # -- afterwards --------------------------------------------------------------------------------------------------

    async def mend(self) -> None:
        """End the fault, and wait until the cache is healthy, as an app would: by going on."""
        await asyncio.to_thread(self._fault.end, self._scene)
        await self._time_until_well()
        if "maxclients" in self._fault.reasons:
            limit = self._limits.doomed * Link.BACKOFF_FULL / Link.BACKOFF_DOOMED
        else:
            limit = self._limits.doomed if NEEDS_OPERATOR.intersection(self._fault.reasons) else self._limits.back
        if self._outcome.back > limit:
            self._late(f"all was well {self._outcome.back:.1f} s after its end, over {limit} s")

    async def _time_until_well(self) -> None:
        began = perf_counter()
        try:
            for cache in (self._cache, self._newcomer):
                await eventually(
                    partial(_is_well, cache), timeout=self._limits.doomed * Link.BACKOFF_FULL / Link.BACKOFF_DOOMED
                )
        except AssertionError:
            for health in (self._cache.status_now(), self._newcomer.status_now()):
                self._wrong(f"health says {health.link}, {health.reason}, and {health.journal} owed")
        self._outcome.back = max(self._outcome.back, perf_counter() - began)

    async def look_back(self) -> None:
        """Check that no removed value comes back, on this instance or on a new one."""
        await self._look_at_what_is_over(self._rounds, self._cache, "afterwards")
        if self._fault.network and await self._cache.get("foreign") == OLD:
            self._wrong("what another instance removed is still here afterwards")
        rounds = range(self._last + (self._outcome.coming > 0))
        async with self._made(self._scene.server.url) as late:
            for cache in (self._newcomer, late):
                await self._look_at_what_is_over(rounds, cache, "for another instance")
