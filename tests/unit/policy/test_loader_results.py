"""A loader's result: it may set its own lifetimes, and a value that cannot be stored is logged once per function."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetcache import Cache, CodecError, ConfigError, Keep, NoStore
from fleetcache.policy.context import Budget, Load
from fleetcache.policy.loader_results import MAX_UNCACHED, Unwrapping
from fleetcache.policy.options import CallOptions
from fleetcache.policy.return_types import declared_type

OPTIONS = CallOptions(ttl=60.0, stale=5.0, tags=("*",), offline_ttl=10.0)


class World:
    """The unwrapping of a cache in memory."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Cache("memory://", **settings)._engine
        self.it = Unwrapping(self.engine.ctx)

    def run(self, loader: Callable[..., Any], *, group: str = "shop.load", declared: Any = Any) -> Load:
        flight = self.engine.flights.start("k", OPTIONS.tags)
        return Load("k", loader, OPTIONS, declared, group, flight, Budget(1.0), None)


def load() -> Any: ...


def unresolved() -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821 - the case


def test_a_plain_value_is_kept_as_the_call_says() -> None:
    world = World()
    answer, options = world.it.unwrap(world.run(load), [1])
    assert (answer.value, options) == ([1], OPTIONS)
    assert answer.payload


def test_a_result_decides_its_own_life() -> None:
    world = World()
    answer, options = world.it.unwrap(world.run(load), Keep("x", ttl="2m"))
    assert options is not None
    assert (answer.value, options.ttl, options.stale) == ("x", 120.0, 5.0)


@pytest.mark.parametrize("value", ["x", object], ids=["storable", "not storable"])
def test_a_result_that_is_not_to_be_kept_is_not_counted(value: Any) -> None:
    world = World(strict=True)
    answer, options = world.it.unwrap(world.run(load), NoStore(value))
    assert (answer.value, options, world.engine.counters.uncached) == (value, None, 0)


def test_a_value_that_cannot_be_stored_is_answered_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    world, value = World(), object()
    for _ in range(3):
        answer, _ = world.it.unwrap(world.run(load), value)
        assert (answer.value, answer.payload) == (value, None)
    assert dict(world.engine.counters.uncached_by) == {"shop.load": 3}
    (record,) = caplog.records
    assert "shop.load" in record.message


def test_under_strict_it_is_an_error() -> None:
    world = World(strict=True)
    with pytest.raises(CodecError):
        world.it.unwrap(world.run(load), object())


def test_functions_are_named_up_to_a_bound() -> None:
    world = World()
    for number in range(MAX_UNCACHED + 5):
        world.it.unwrap(world.run(load, group=f"f{number}"), object())
    by = world.engine.counters.uncached_by
    assert (len(by), by["others"], by.total()) == (MAX_UNCACHED + 1, 5, MAX_UNCACHED + 5)


def test_a_return_type_that_cannot_be_found_is_told_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    world, declared = World(), declared_type(unresolved)
    assert declared is Any
    for _ in range(2):
        assert world.it.unwrap(world.run(unresolved), 1)[0].value == 1
    (record,) = caplog.records
    assert "Nowhere" in record.message
    strict = World(strict=True)
    with pytest.raises(ConfigError, match="Nowhere"):
        strict.it.unwrap(strict.run(unresolved), 1)
