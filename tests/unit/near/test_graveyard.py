"""The graveyard: dead entries weigh until alarms have buried them in slices, and the alarms end with them."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.near import graveyard
from fleetcache.near.graveyard import Burial
from fleetcache.near.s3fifo import PATIENCE
from fleetcache.near.store import Near
from tests.support.clock import ManualClock
from tests.support.near_store import bury_all, check_sums, held, living

MANY = 5 * Near.AT_ONCE


def filled(count: int = MANY, tags: tuple[str, ...] = ("*", "mine"), **options: Any) -> Near:
    near = Near(10 * MANY, 10**8)
    for number in range(count):
        near.put(f"key:{number}", held(tags=(*tags, f"own:{number // 3}"), **options))
    return near


REMOVALS: dict[str, Callable[[Near], int]] = {
    "clear": Near.clear,
    "star": lambda near: near.forget_tag("*"),
    "tag": lambda near: near.forget_tag("mine"),
    "unconfirmed": Near.forget_unconfirmed,
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_the_dead_weigh_until_they_are_buried_and_do_not_count(removal: str) -> None:
    near = filled(backed=removal != "unconfirmed")
    near.put("other", held(tags=("*", "other")))
    before = near.bytes
    everything = removal in {"clear", "star"}
    assert REMOVALS[removal](near) == MANY + everything
    assert len(near) == 1 - everything
    assert len(near.items) == MANY + 1, "a removal of many takes none out"
    assert list(living(near)) == ["other"][: 1 - everything]
    assert before - near.bytes <= MANY * 112 + 400, "at most the line of the removed tag is not charged any more"
    check_sums(near)
    left = len(near.items)
    while near.bury(10):
        assert 0 <= left - len(near.items) <= 10
        left = len(near.items)
        check_sums(near)
    assert len(near.items) == len(near) == 1 - everything
    assert near.evictions == 0
    assert near.bytes == near._queue.weight + near._index.weight


def test_a_removal_takes_the_same_steps_however_many_entries_it_ends() -> None:
    """Counted in lines of Python that run: one removal ends ten times the entries of the other."""

    def lines_of(removal: Callable[[Near], int], count: int) -> int:
        near, lines = filled(count), 0

        def trace(_frame: object, event: str, _arg: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            removal(near)
        finally:
            sys.settrace(before)
        return lines

    for removal in (REMOVALS["clear"], REMOVALS["star"], REMOVALS["tag"]):
        assert lines_of(removal, 10 * MANY) == lines_of(removal, MANY) < 200


def test_few_entries_go_at_once() -> None:
    near = filled(Near.AT_ONCE)
    near.put("other", held())
    assert near.forget_tag("mine") == Near.AT_ONCE
    assert list(near.items) == ["other"]
    assert near.clear() == 1
    assert not near.items
    assert not near.bury(0)


def test_a_key_put_over_a_dead_entry_is_held_and_dies_with_its_own_removal() -> None:
    near = filled()
    near.forget_tag("mine")
    entry = held("new", tags=near.items["key:7"].tags)
    assert near.put("key:7", entry)
    check_sums(near)
    bury_all(near)
    assert near.items == {"key:7": entry}
    assert near.forget_tag("mine") == 1


@pytest.mark.parametrize("removal", ["clear", "tag"])
def test_the_dead_leave_before_the_living_when_room_is_needed(removal: str) -> None:
    near = filled()
    for number in range(50):
        near.put(f"living:{number}", held())
    if removal == "tag":
        near.forget_tag("mine")
    else:
        near.clear()
        for number in range(50):
            near.put(f"living:{number}", held())
    near.max_bytes = near.bytes
    for number in range(50):
        near.put(f"new:{number}", held(size=5_000))
        assert near.bytes <= near.max_bytes
    assert near.evictions == 0
    assert len(near) == 100


def test_a_full_store_of_dead_entries_makes_room_for_as_many_new_ones() -> None:
    near = Near(MANY, 10**8)
    for number in range(MANY):
        near.put(f"key:{number}", held())
    near.clear()
    for number in range(MANY):
        assert near.put(f"new:{number}", held())
        assert len(near.items) <= MANY
    assert (near.evictions, len(near)) == (0, MANY)
    assert not near._graveyard.graves


def test_one_put_buries_a_bounded_number() -> None:
    near = filled()
    near.forget_tag("mine")
    near.max_items = 1
    for number in range(2):
        left = len(near.items)
        near.put(f"new:{number}", held())
        assert left - len(near.items) <= PATIENCE + 5 or len(near.items) <= 1


class Alarms:
    """Alarms that a test rings."""

    def __init__(self) -> None:
        self.set: list[Callable[[], None]] = []
        self.delays: list[float] = []

    def call_later(self, delay: float, ring: Callable[[], None]) -> "Alarms":
        self.set.append(ring)
        self.delays.append(delay)
        return self

    def cancel(self) -> None:
        self.set.clear()

    def ring(self) -> None:
        self.set.pop()()


class Ticking(ManualClock):
    """A clock that goes on by a tenth of a slice at each look."""

    def __call__(self) -> float:
        self.advance(Burial.SLICE / 10)
        return super().__call__()


def test_alarms_bury_in_slices_until_nothing_is_left() -> None:
    near, alarms = filled(), Alarms()
    Burial(near, Ticking(), alarms.call_later)
    assert alarms.set == []
    near.clear()
    rings = 0
    while alarms.set:
        assert len(alarms.set) == 1
        left = len(near.items)
        alarms.ring()
        rings += 1
        assert left - len(near.items) <= 11 * Burial.STEPS
    assert rings > 2
    assert not near.items
    assert set(alarms.delays) == {Burial.EVERY}
    near.put("k", held())
    near.clear()
    assert alarms.set == [], "few entries go at once and need no alarm"


def test_a_large_container_is_freed_in_a_slice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graveyard, "_LARGE", 10_000)  # bytes
    near, alarms, clock = filled(MANY + 3), Alarms(), Ticking()
    Burial(near, clock, alarms.call_later)
    near.forget_tag("mine")
    while near.items:
        alarms.ring()
    assert near.frees_much, "the emptied container of the tag is still there"
    began = clock.now
    alarms.ring()
    assert not near.frees_much
    assert clock.now - began <= Burial.SLICE / 5


def test_one_alarm_is_set_however_many_removals_there_are() -> None:
    near, alarms = filled(), Alarms()
    Burial(near, ManualClock(), alarms.call_later)
    near.forget_tag("mine")
    near.clear()
    assert len(alarms.set) == 1


def test_no_alarm_rings_after_the_end() -> None:
    near, alarms = filled(), Alarms()
    burial = Burial(near, Ticking(), alarms.call_later)
    near.clear()
    burial.stop()
    assert alarms.set == []
    burial.begin()
    assert alarms.set == []


def test_an_alarm_that_went_with_its_loop_is_set_again() -> None:
    near, alarms = filled(), Alarms()
    burial = Burial(near, ManualClock(), alarms.call_later)
    near.clear()
    alarms.set.clear()
    burial.resume()
    assert len(alarms.set) == 1
    alarms.ring()
    burial.resume()
    assert alarms.set == []


def test_without_a_loop_puts_bury_alone() -> None:
    def no_loop(_delay: float, _ring: Callable[[], None]) -> Any:
        raise RuntimeError("no running event loop")

    near = filled()
    Burial(near, ManualClock(), no_loop)
    near.clear()
    for number in range(MANY):
        near.put(f"new:{number}", held())
    assert not near._graveyard.graves
