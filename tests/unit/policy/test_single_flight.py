"""Flights: callers that join and leave, their outcome, and loaders that wait for each other."""

from contextvars import copy_context
from typing import Any

import pytest

from fleetcache.errors import LoadCycle
from fleetcache.policy.outcome import Outcome, Resolution
from fleetcache.policy.single_flight import CURRENT, Flight, Flights, Wait, waiting_for

DONE = Outcome(Resolution.RETURN)
LOAD_WAIT = 1.0


class Gate:
    def __init__(self) -> None:
        self.result: Any = None

    def done(self) -> bool:
        return self.result is not None

    def set_result(self, result: Any, /) -> None:
        assert self.result is None, "a gate opens once"
        self.result = result


class Task:
    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


def boarded(flight: Flight, people: int) -> list[Gate]:
    futures = [Gate() for _ in range(people)]
    for future in futures:
        flight.join(future)
    return futures


def test_everybody_on_board_is_told_the_outcome() -> None:
    flights = Flights()
    flight = flights.start("k", ("*",))
    assert flights.get("k") is flight
    futures = boarded(flight, 3)
    flights.end(flight, DONE)
    assert [future.result for future in futures] == [DONE] * 3
    assert flights.get("k") is None
    assert len(flights) == 0


def test_who_enters_a_flight_that_is_over_is_told_at_once() -> None:
    flights = Flights()
    flight = flights.start("k", ())
    flights.end(flight, DONE)
    (late,) = boarded(flight, 1)
    assert late.result is DONE


def test_a_flight_ends_once() -> None:
    flights = Flights()
    flight = flights.start("k", ())
    flights.end(flight, DONE)
    flights.end(flight, Outcome(Resolution.RETRY))
    assert flight.outcome is DONE


def test_others_may_be_told_something_else_than_the_one_who_started_it() -> None:
    assert (DONE.own, DONE.others) == (Resolution.RETURN, Resolution.RETURN)
    removed = Outcome(Resolution.RETURN, Resolution.RETRY)
    assert (removed.own, removed.others) == (Resolution.RETURN, Resolution.RETRY)


def test_the_last_one_out_cancels_the_load() -> None:
    flight = Flights().start("k", ())
    flight.task = task = Task()
    first, second = boarded(flight, 2)
    flight.leave(first)
    assert task.cancelled == 0
    flight.leave(second)
    assert task.cancelled == 1


def test_who_left_is_not_told_and_the_others_are() -> None:
    flights = Flights()
    flight = flights.start("k", ())
    gone, stays = boarded(flight, 2)
    flight.leave(gone)
    flights.end(flight, DONE)
    assert (gone.result, stays.result) == (None, DONE)


def test_leaving_a_flight_that_is_over_cancels_nothing() -> None:
    flights = Flights()
    flight = flights.start("k", ())
    flight.task = task = Task()
    (future,) = boarded(flight, 1)
    flights.end(flight, DONE)
    flight.leave(future)
    assert task.cancelled == 0


def test_a_detached_flight_goes_on_for_those_in_it_and_nobody_joins() -> None:
    flights = Flights()
    flight = flights.start("k", ())
    (future,) = boarded(flight, 1)
    flights.detach_key("k")
    assert flight.detached
    assert flights.get("k") is None
    assert flights.active() == [flight]
    assert len(flights) == 1
    flights.end(flight, DONE)
    assert future.result is DONE
    assert len(flights) == 0


def test_a_new_flight_detaches_the_old_and_the_old_ones_end_leaves_the_new_in_the_table() -> None:
    flights = Flights()
    old = flights.start("k", ())
    new = flights.start("k", ())
    assert (old.detached, new.detached) == (True, False)
    flights.end(old, DONE)
    assert flights.get("k") is new


def test_a_tag_detaches_the_flights_that_captured_it() -> None:
    flights = Flights()
    geo, other = flights.start("a", ("*", "geo")), flights.start("b", ("*",))
    flights.detach_tag("geo")
    assert (geo.detached, other.detached) == (True, False)
    flights.detach_tag("*")
    assert other.detached


def test_all_flights_can_be_detached_at_once() -> None:
    flights = Flights()
    both = [flights.start(key, ()) for key in "ab"]
    flights.detach_all()
    flights.detach_all()
    assert all(flight.detached for flight in both)


def test_detaching_what_is_not_there_does_nothing() -> None:
    Flights().detach_key("k")
    Flights().detach_tag("geo")


# -- cycles ----------------------------------------------------------------------------------------------------------


def inside(flight: Flight, other: Flight) -> Any:
    """Let the loader of ``flight`` wait for another flight."""

    def loader() -> Any:
        CURRENT.set((flight, None))
        return waiting_for(other, lambda: None)

    return copy_context().run(loader)


def test_a_loader_that_asks_for_its_own_key_is_an_error() -> None:
    flight = Flights().start("k", ())
    with pytest.raises(LoadCycle, match="'k' asks for its own key"):
        inside(flight, flight)


def test_two_loaders_that_wait_for_each_other_are_an_error() -> None:
    flights = Flights()
    a, b = flights.start("a", ()), flights.start("b", ())
    inside(a, b)
    with pytest.raises(LoadCycle, match="'b' waits for 'a'"):
        inside(b, a)


def test_a_cycle_through_others_is_an_error() -> None:
    a, b, c, d = (Flights().start(key, ()) for key in "abcd")
    inside(a, b)
    inside(b, d)  # a detour that is not part of the circle
    inside(b, c)
    with pytest.raises(LoadCycle):
        inside(c, a)
    inside(c, d)


def test_a_wait_that_is_over_is_no_part_of_a_cycle() -> None:
    a, b = (Flights().start(key, ()) for key in "ab")
    inside(a, b).over()
    inside(b, a)


def test_a_load_does_not_wait_for_one_that_waits_its_turn_behind_it() -> None:
    flights = Flights()
    first, second = flights.start("k", ()), flights.start("k", ())
    assert flights.ahead("k", second) is first
    turn = Wait(first, second).begin()
    assert flights.lead(first, 0.0, LOAD_WAIT) is None
    turn.over()
    assert flights.lead(first, 0.0, LOAD_WAIT) is second
    Wait(second, first).begin()
    assert flights.ahead("k", second) is None
    third = flights.start("k", ())
    assert flights.ahead("k", third) is first


def test_a_load_waits_for_a_running_loader_that_waits_for_it_and_is_told() -> None:
    flights = Flights()
    first, second = flights.start("k", ()), flights.start("k", ())
    second.since = 0.0
    inside(second, first)
    assert flights.lead(first, 0.0, LOAD_WAIT) is second
    with pytest.raises(LoadCycle, match="'k' asks for its own key"):
        Wait(second, first).begin()


@pytest.mark.parametrize("table", ["second", "behind"])
def test_a_load_that_callers_join_instead_of_the_first_is_known_once(table: str) -> None:
    """Were it in two tables, it would stay among the detached loads for ever, and later loads wait for it."""
    flights = Flights()
    first = flights.start("k", ())
    flight = flights.start("k", (), **{table: True})
    flight.on_mark = True
    flights.end(first, DONE)
    assert flights.lead(flight, 0.0, LOAD_WAIT) is None
    assert (flights.get("k"), flights.second("k"), flights.background("k")) == (flight, None, None)
    flights.detach_key("k")
    later = flights.start("k", ())
    assert flights.beside(later, 0.0, LOAD_WAIT) is flights.ahead("k", later) is flight
    flights.end(flight, DONE)
    assert flights.beside(later, 0.0, LOAD_WAIT) is flights.ahead("k", later) is None


def test_a_load_on_a_mark_waits_for_one_that_has_asked_for_a_right() -> None:
    flights = Flights()
    asker, flight, elsewhere = flights.start("k", ()), flights.start("k", ()), flights.start("other", ())
    asker.asks = flight.asks = elsewhere.asks = True
    assert flights.before_mark(flight, 0.0, LOAD_WAIT) is asker
    asker.asks = False
    assert flights.before_mark(flight, 0.0, LOAD_WAIT) is None
    assert flights.get("k") is flight


@pytest.mark.parametrize("is_detached", [False, True])
def test_a_second_load_is_beside_the_others_of_its_process(is_detached: bool) -> None:
    flights = Flights()
    second = flights.start("k", (), second=True)
    flight = flights.start("k", ())
    assert flights.beside(flight, 0.0, LOAD_WAIT) is None
    second.is_extra = True
    if is_detached:
        flights.detach_key("k")
    assert (flights.beside(flight, 0.0, LOAD_WAIT), flights.beside(second, 0.0, LOAD_WAIT)) == (second, None)


@pytest.mark.parametrize(("right", "counts"), [(b"claim", True), (b"", False)])
def test_a_load_without_a_right_counts_until_it_has_taken_load_wait(right: bytes, counts: bool) -> None:
    flights = Flights()
    extra, flight = flights.start("k", (), second=True), flights.start("k", ())
    extra.is_extra, extra.right, extra.since = True, right, 0.0
    assert flights.beside(flight, LOAD_WAIT - 0.1, LOAD_WAIT) is extra
    assert (flights.beside(flight, LOAD_WAIT, LOAD_WAIT) is extra) is counts


def test_a_load_leads_beside_one_that_takes_long_except_on_a_mark() -> None:
    flights = Flights()
    slow = flights.start("k", ())
    slow.since = 0.0
    flight = flights.start("k", (), second=True)
    flights.detach_key("k")
    flights.lead(slow, 0.0, LOAD_WAIT)
    assert flights.lead(flight, LOAD_WAIT - 0.1, LOAD_WAIT) is slow
    slow.on_mark = True
    assert flights.lead(flight, LOAD_WAIT, LOAD_WAIT) is slow
    slow.on_mark = False
    assert flights.lead(flight, LOAD_WAIT, LOAD_WAIT) is None
    assert (flights.get("k"), flights.second("k"), flight.detached) == (slow, flight, False)
    assert flights.lead(flight, LOAD_WAIT, LOAD_WAIT) is None
    other = Flight("k", ())
    assert flights.lead(other, LOAD_WAIT, LOAD_WAIT) is flight


def test_outside_of_loaders_there_are_no_cycles() -> None:
    assert waiting_for(Flight("k", ()), lambda: None) is None


def test_what_a_loader_left_running_may_wait_for_anything() -> None:
    """A task that a loader started inherits its context, and outlives the flight."""
    flights = Flights()
    a = flights.start("a", ())
    flights.end(a, DONE)
    inside(a, a)
    assert a.waits == []


def test_it_shows_what_an_operator_asks() -> None:
    flights = Flights()
    flight = flights.start("k", ())
    boarded(flight, 2)
    assert repr(flight) == "<Flight 'k' in the air, 2 waiting>"
    flights.detach_all()
    assert repr(flight) == "<Flight 'k' detached, 2 waiting>"
    flights.end(flight, DONE)
    assert repr(flight) == "<Flight 'k' over, 2 waiting>"
