"""Waits for loads: bounded by the caller's load_timeout and by the load wait of the cache."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleetcache import Cache, LoadTimeout
from fleetcache.policy.context import Budget
from fleetcache.policy.waits import Waits
from fleetcache.wire.link_state import NEVER_LATE
from tests.support.drivers import Driver, On
from tests.support.origins import Origin
from tests.support.run import run
from tests.support.waiting import eventually


def test_a_callers_patience_bounds_its_wait_and_not_the_load(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        patient = asyncio.create_task(cache.get_or_set("k", origin.load))
        await eventually(lambda: origin.calls)
        with pytest.raises(LoadTimeout, match="'k'"):
            await cache.get_or_set("k", origin.load, load_timeout="10ms")
        origin.go.set()
        assert await patient == "value 1"
        assert (origin.calls, origin.cancelled) == (1, 0)

    on(body)


def test_the_first_caller_may_be_the_impatient_one(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        with pytest.raises(LoadTimeout):
            async with asyncio.timeout(10):
                await cache.get_or_set("k", origin.load, load_timeout="10ms")
        await eventually(lambda: cache.stats().flights == 0)  # no caller is left
        assert origin.cancelled == origin.calls  # on a busy machine the timeout is over before the loader starts
        origin.go.set()
        assert await cache.get_or_set("k", origin.load) == f"value {origin.calls}"
        assert origin.calls == origin.cancelled + 1

    on(body)


def test_a_wait_for_others_is_capped(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_wait="20ms") as cache:
            origin, mine = Origin(waits=True), Origin()
            other = asyncio.create_task(cache.get_or_set("k", origin.load))
            await eventually(lambda: origin.calls)
            async with asyncio.timeout(10):
                assert await cache.get_or_set("k", mine.load) == "value 1"
            assert (origin.calls, mine.calls) == (1, 1)
            origin.go.set()
            await other

    run(main())


class World:
    """The parts that a held load asks: the link's state, a clock that a wait moves, and the watches."""

    operation_timeout = 1.0

    def __init__(self, late_since: float | None, *, until: float = float("inf"), drawn: float = 0.5) -> None:
        self.trust = self.ports = self.coherence = self.shared = self
        self.away = False
        self.late = NEVER_LATE if late_since is None else (late_since, until)
        self.now, self.drawn = 10.0, drawn
        self.waited: list[float] = []
        self.watched: list[str] = []
        self.late_at: float | None = None
        self.back_at: float | None = None

    @property
    def usable(self) -> bool:
        return not self.away and self.late[1] <= self.now

    def clock(self) -> float:
        return self.now

    def random(self) -> float:
        return self.drawn

    def future(self) -> None:
        """Make no future: ``wait`` knows what happens."""

    def watch(self, key: str, future: Any) -> Any:
        self.watched.append(key)
        return SimpleNamespace(future=future)

    def unwatch(self, _watch: Any) -> None:
        self.watched.pop()

    async def wait(self, _future: Any, until: float) -> None:
        self.now = min(until, self.late_at or self.back_at or until)
        self.waited.append(self.now)
        if self.now == self.late_at:
            self.late, self.late_at = (self.now, float("inf")), None
        if self.now == self.back_at:
            self.late = (self.late[0], self.now)


def held(world: World, budget: Budget) -> bool:
    looks_again: bool = run(Waits(cast("Any", world)).for_server(budget))
    assert world.watched == []
    return looks_again


@pytest.mark.parametrize(("drawn", "until"), [(0.0, 10.9), (0.5, 10.95), (1.0, 11.0)])
def test_a_load_waits_for_most_of_an_operation_timeout_while_the_server_is_late(drawn: float, until: float) -> None:
    world = World(10.0, drawn=drawn)
    assert not held(world, Budget(1.0))
    assert world.waited == [pytest.approx(until)]


def test_the_time_counts_from_when_the_server_became_late() -> None:
    late, very_late = World(9.5), World(8.9)
    assert (held(late, Budget(1.0)), held(very_late, Budget(1.0))) == (False, False)
    assert late.waited == [pytest.approx(10.45)]
    assert very_late.waited == []


def test_when_the_server_is_back_the_load_looks_again_in_the_time_that_is_left() -> None:
    world, budget = World(10.0), Budget(1.0)
    world.back_at = 10.6
    assert held(world, budget)
    assert budget.left == pytest.approx(0.4)
    assert not budget.whole
    world, budget = World(10.0), Budget(1.0)
    world.back_at = 10.93
    assert held(world, budget)
    assert budget.left == pytest.approx(0.2)  # enough to hear an answer on a busy machine


def test_a_call_is_held_back_once() -> None:
    world, budget = World(10.0), Budget(1.0)
    world.back_at = 10.5
    assert held(world, budget)
    world.late = (10.7, float("inf"))
    assert not held(world, budget)
    assert len(world.waited) == 1


def test_a_load_waits_for_no_server_that_answers_or_is_away() -> None:
    world = World(None)
    assert not held(world, Budget(1.0))
    assert world.waited == []


def spent() -> Budget:
    """Return the budget of a call that has waited for one operation timeout."""
    budget = Budget(1.0)
    budget.spend(1.0)
    budget.missed = 9.0
    return budget


def test_a_call_that_waited_in_vain_waits_a_moment_until_the_link_counts_as_late() -> None:
    """The link counts from the call's last request, the call from its first."""
    world = World(None)
    world.late_at = 10.002
    assert not held(world, spent())
    assert world.waited == [10.002, pytest.approx(10.952)]
    world = World(None)
    world.late_at, world.back_at = 10.002, 10.4
    budget = spent()
    assert held(world, budget)
    assert budget.left == pytest.approx(0.602)
    budget.spend(0.602)
    assert not held(world, budget)
    assert len(world.waited) == 2, "once"


def test_a_call_that_runs_after_the_server_was_late_looks_again_at_once() -> None:
    world, budget = World(9.9, until=9.95), spent()
    assert held(world, budget)
    assert world.waited == []
    assert budget.held
    assert budget.left == pytest.approx(0.9)
    budget.spend(0.9)
    assert not held(world, budget)
    assert world.waited == [], "once"


def test_a_part_of_a_batch_that_was_not_sent_while_the_server_was_late_is_read_again() -> None:
    world, budget = World(9.8, until=9.9), Budget(1.0)
    budget.spend(0.2)
    budget.missed = 9.8
    assert held(world, budget)
    assert world.waited == []


def test_a_server_that_was_late_before_the_call_waited_says_nothing_of_the_call() -> None:
    world, budget = World(7.0, until=8.999), spent()
    world.late_at, world.back_at = 10.002, 10.4
    assert held(world, budget)
    assert world.waited == [10.002, 10.4]
    world = World(7.0, until=8.999)
    assert not held(world, Budget(1.0))
    assert not held(world, spent())
    assert world.waited == [pytest.approx(10.2)]


def test_a_call_looks_again_at_no_server_that_is_away_after_it_was_late() -> None:
    world, budget = World(9.9, until=9.95), spent()
    world.away = True
    assert not held(world, budget)
    assert (world.waited, budget.held) == ([], False)


def test_a_call_that_waited_in_vain_for_a_server_that_is_only_slow_loads_after_that_moment() -> None:
    world = World(None)
    assert not held(world, spent())
    assert world.waited == [pytest.approx(10.2)]


def test_a_call_that_waited_in_vain_loads_at_once_if_the_server_is_away() -> None:
    world = World(None)
    world.away = True
    assert not held(world, spent())
    assert world.waited == []
