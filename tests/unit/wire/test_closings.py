"""Commands at which the other end closes the connection, told from a server that is just going away."""

import pytest

from fleetcache.wire import closings
from fleetcache.wire.closings import Closings
from fleetcache.wire.session import Command
from tests.support.clock import ManualClock

HELLO: Command = ("HELLO", 3)
INFO: Command = ("INFO", "server")


def closed(known: Closings, command: Command, *, answered: bool) -> None:
    known.connected()
    if answered:
        known.answered()
    known.closed_at(command)


def test_nothing_is_held_against_a_server_at_first() -> None:
    known = Closings(ManualClock())
    known.connected()
    assert not known.careful
    assert known.refusal(HELLO) is None


def test_a_command_counts_when_it_closes_twice_in_a_row_the_second_time_behind_an_answer() -> None:
    known = Closings(ManualClock())
    closed(known, HELLO, answered=False)
    known.connected()
    assert known.careful, "something is asked before HELLO now"
    assert known.refusal(HELLO) is None
    known.answered()
    known.closed_at(HELLO)
    known.connected()
    assert known.careful
    assert "closes the connection at HELLO" in str(known.refusal(HELLO))
    assert known.refusal(INFO) is None


def test_a_server_that_is_going_away_closes_at_anything() -> None:
    known = Closings(ManualClock())
    for _ in range(10):
        closed(known, HELLO, answered=False)
    assert known.refusal(HELLO) is None
    closed(known, ("GET", "k"), answered=False)  # sent before HELLO, and closed as well
    closed(known, HELLO, answered=True)
    assert known.refusal(HELLO) is None, "not twice in a row"


def test_a_connection_that_held_in_between_takes_it_back() -> None:
    known = Closings(ManualClock())
    closed(known, INFO, answered=True)
    known.connected()
    closed(known, INFO, answered=True)
    assert known.refusal(INFO) is None


@pytest.mark.parametrize("word", ["GET", "SELECT", "AUTH", "EVAL"])
def test_what_the_cache_needs_is_always_asked(word: str) -> None:
    known = Closings(ManualClock())
    closed(known, (word, "x"), answered=True)
    closed(known, (word, "x"), answered=True)
    assert known.refusal((word, "x")) is None


def test_it_is_tried_again_after_a_while() -> None:
    clock = ManualClock()
    known = Closings(clock)
    closed(known, HELLO, answered=True)
    closed(known, HELLO, answered=True)
    clock.advance(closings.FORGET - 1)
    known.connected()
    assert known.refusal(HELLO) is not None
    clock.advance(1)
    known.connected()
    assert known.refusal(HELLO) is None
    assert not known.careful
