"""Lifetimes: the rest of an entry's life, a call's options, and the time of an early refresh."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.format.entry import GRACE
from fleetcache.policy.options import CallOptions, Remaining, should_refresh_early


def options(ttl: float = 60.0, stale: float = 0.0, *, early: bool = False) -> CallOptions:
    return CallOptions(ttl=ttl, stale=stale, tags=("*",), offline_ttl=30.0, early=early)


@pytest.mark.parametrize(
    ("left_ms", "fresh", "stale"),
    [
        (80_000, True, False),  # just stored, ttl 60, stale 10
        (20_001, True, False),
        (20_000, False, True),
        (10_001, False, True),
        (10_000, False, False),  # spent: only the base of a refresh
        (1, False, False),
    ],
)
def test_freshness_follows_from_what_the_server_has_left(left_ms: int, fresh: bool, stale: bool) -> None:
    left = Remaining.of(left_ms, 10.0)
    assert (left.is_fresh, left.is_stale) == (fresh, stale)


def test_without_stale_time_an_entry_is_never_stale() -> None:
    assert not any(Remaining.of(ms, 0.0).is_stale for ms in range(0, 12_000, 10))


@given(st.floats(0.001, 2_592_000), st.floats(0, 2_592_000))
def test_the_server_keeps_an_entry_for_ttl_stale_and_the_grace(ttl: float, stale: float) -> None:
    left = Remaining.of(options(ttl, stale).server_ttl_ms, stale)
    assert left.fresh == pytest.approx(ttl, abs=0.001)
    assert left.stale == pytest.approx(ttl + stale, abs=0.001)


def test_the_grace_is_what_a_refresh_under_way_may_take() -> None:
    assert GRACE == 10.0
    assert options(0.001).server_ttl_ms == 10_001


@pytest.mark.parametrize(
    ("ttl", "stale", "expected"),
    [(None, None, (60, 5)), (1.0, None, (1, 5)), (None, 0.0, (60, 0)), (2.0, 3.0, (2, 3))],
)
def test_a_result_may_decide_its_own_life(ttl: float | None, stale: float | None, expected: tuple[int, int]) -> None:
    kept = options(60, 5).kept(ttl, stale)
    assert (kept.ttl, kept.stale) == expected
    assert kept.tags == ("*",)


@pytest.mark.parametrize(
    ("longest", "expected"), [(1000.0, (60, 5)), (65.0, (60, 5)), (62.0, (60, 2)), (30.0, (30, 0)), (0.0, (0, 0))]
)
def test_a_life_may_be_bounded_its_stale_time_first(longest: float, expected: tuple[int, int]) -> None:
    bounded = options(60, 5).bounded(longest)
    assert (bounded.ttl, bounded.stale) == expected


def test_nothing_loads_in_the_background_unless_asked_to() -> None:
    assert not options().refreshes
    assert options(stale=1).refreshes
    assert options(early=True).refreshes


def test_options_are_frozen() -> None:
    with pytest.raises(AttributeError):
        options().ttl = 1.0  # type: ignore[misc]  # the error under test


def test_an_early_refresh_is_the_likelier_the_closer_the_end_and_the_costlier_the_load() -> None:
    chance = random.Random(1).random

    def share(left: float, cost: float) -> float:
        return sum(should_refresh_early(left, cost, chance) for _ in range(4000)) / 4000

    for left, cost in ((0.1, 1.0), (1.0, 1.0), (3.0, 1.0), (1.0, 0.5)):
        assert share(left, cost) == pytest.approx(math.exp(-left / cost), abs=0.03)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1 - 2**-53])
def test_a_load_without_cost_or_far_from_its_end_is_never_refreshed_early(chance: float) -> None:
    assert not should_refresh_early(0.001, 0.0, lambda: chance)
    assert not should_refresh_early(100.0, 1.0, lambda: chance)
