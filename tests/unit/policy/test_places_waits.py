"""The waits of a load for its place: they are bounded together, and after each the load has a new operation timeout."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleetcache.policy.context import Budget, Load
from fleetcache.policy.options import CallOptions
from fleetcache.policy.places import Places
from fleetcache.policy.ports import NO_ANSWER
from fleetcache.policy.single_flight import Flight
from fleetcache.telemetry.stats import Counters
from tests.support.run import run

LOAD_WAIT = 3.0
OPTIONS = CallOptions(ttl=60.0, stale=0.0, tags=("*",), offline_ttl=10.0)


class World:
    """The parts that places ask: the settings, and a clock that each wait moves. One load holds the only place.

    ``woken_at``: when the next wait is woken by a change of the key.
    """

    load_wait, max_loads = LOAD_WAIT, 1

    def __init__(self) -> None:
        self.ports, self.counters = self, Counters()
        self.now = 10.0
        self.woken_at = float("inf")
        self.waits = 0
        self.places = Places(cast("Any", self))
        self.places.take_at_once(load("held"))

    def clock(self) -> float:
        return self.now

    def budget(self) -> Budget:
        return Budget(1.0)

    def tell(self, *_said: Any) -> None:
        """Write no log."""

    async def wait(self, _future: Any, until: float) -> Any:
        self.waits += 1
        woken = self.woken_at <= until
        self.now = max(self.now, min(until, self.woken_at))
        return None if woken else NO_ANSWER

    def take(self, load: Load) -> bool:
        took: bool = run(self.places.take(load, cast("Any", SimpleNamespace())))
        return took


def load(key: str) -> Load:
    return Load(key, print, OPTIONS, Any, "group", Flight(key, OPTIONS.tags), Budget(1.0), None)


def test_all_waits_of_a_load_for_its_place_take_load_wait_together() -> None:
    world, queued = World(), load("k")
    for woken_at in (11.0, 12.5):
        world.woken_at = woken_at
        assert not world.take(queued)
    world.woken_at = float("inf")
    assert world.take(queued)
    assert world.now == pytest.approx(10.0 + LOAD_WAIT)
    assert queued.place is None
    assert (world.counters.place_waits, world.counters.place_timeouts) == (3, 1)


def test_a_load_that_has_waited_for_long_enough_takes_a_free_place_only() -> None:
    world, queued = World(), load("k")
    assert world.take(queued)
    assert world.take(queued)
    assert (world.waits, world.counters.place_timeouts, queued.place) == (1, 1, None)
    world.places.reset(wake=False)
    assert world.take(queued)
    assert queued.place is not None


def test_a_load_that_is_woken_at_its_time_looks_at_nothing_again() -> None:
    """A key that changes all the time would keep it from loading."""
    world, queued = World(), load("k")
    world.woken_at = 10.0 + LOAD_WAIT
    assert world.take(queued)


def test_after_a_wait_a_load_has_an_operation_timeout_of_its_own() -> None:
    world, queued = World(), load("k")
    queued.budget.hold(0.2)
    world.woken_at = 11.0
    assert not world.take(queued)
    assert (queued.budget.left, queued.budget.held) == (1.0, False)


def test_what_a_load_read_before_its_wait_is_out_of_date() -> None:
    """Another load of its process may have changed the key meanwhile, of which no push tells."""
    world, queued = World(), load("k")
    queued.watch = cast("Any", SimpleNamespace(future=None))
    assert not run(world.places.take_watching(queued)), "it looks again"
    assert run(world.places.take_watching(queued))
    assert world.waits == 1


def test_a_place_that_is_free_costs_no_time_and_gives_none() -> None:
    world, taken = World(), load("k")
    world.places.reset(wake=False)
    taken.budget.hold(0.2)
    assert world.take(taken)
    assert (world.waits, taken.budget.left, taken.budget.held) == (0, 0.2, True)
