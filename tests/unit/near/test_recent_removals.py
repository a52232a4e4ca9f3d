"""Recently acknowledged removals: the time for which they are known, and the servers that lack them."""

import pytest

from fleetcache.format.keys import ALL, Target
from fleetcache.near.recent_removals import History, Recent
from tests.support.clock import ManualClock

HERE, THERE = History("run", "history"), History("another run", "another history")
A, B = ("e", "a"), ("t", "b")


def made() -> tuple[Recent, ManualClock]:
    clock = ManualClock()
    recent = Recent(clock)
    recent.history = HERE
    return recent, clock


def test_only_another_history_may_lack_them() -> None:
    recent, _ = made()
    recent.done(A)
    recent.done(B)
    assert recent.missed_by(HERE) == []
    assert recent.missed_by(THERE) == [A, B]


@pytest.mark.parametrize(
    ("history", "lacks"),
    [
        (HERE, False),
        (History("run", "history", was_replica=True), False),  # the cache met it after its promotion
        (History("run", "new name"), False),  # the server's first replica came
        (History("run", "new name", was_replica=True), True),  # it was demoted and is the primary again
        (History("another run", "history"), True),
        (History(None, "history"), True),
        (History(), False),  # without a name all servers are distrusted, as at each connection
    ],
)
def test_what_another_history_means(history: History, lacks: bool) -> None:
    recent, _ = made()
    recent.done(A)
    assert bool(recent.missed_by(history)) is lacks


def test_a_server_that_told_nothing_may_be_any() -> None:
    recent, _ = made()
    recent.history = History()
    recent.done(A)
    assert recent.missed_by(HERE) == [A]


def test_they_are_kept_for_a_minute_while_the_server_answers() -> None:
    recent, clock = made()
    recent.done(A)
    clock.advance(30)
    recent.done(B)
    clock.advance(30)
    recent.heard(clock())
    assert recent.missed_by(THERE) == [B]
    clock.advance(30)
    recent.heard(clock())
    assert len(recent) == 0


def test_an_outage_does_not_use_up_their_minute() -> None:
    """A removal acknowledged a second before the server died is missing on its successor, even after a long outage."""
    recent, clock = made()
    recent.done(A)
    clock.advance(600)
    assert recent.missed_by(THERE) == [A]


def test_a_removal_that_is_done_again_is_new() -> None:
    recent, clock = made()
    recent.done(A)
    recent.done(B)
    clock.advance(50)
    recent.done(A)
    clock.advance(20)
    recent.heard(clock())
    assert recent.missed_by(THERE) == [A]


def test_more_than_it_keeps_is_everything() -> None:
    recent, _ = made()
    wanted: list[Target] = [("e", str(number)) for number in range(Recent.MAX)]
    for target in wanted:
        recent.done(target)
    assert recent.missed_by(THERE) == wanted
    recent.done(B)
    assert recent.missed_by(THERE) == [ALL]
