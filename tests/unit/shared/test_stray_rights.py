"""Rights without a known holder: the times at which the cache releases them, once and once more."""

from fleetcache.shared.stray_rights import Rights
from tests.support.clock import ManualClock

ONE, TWO = (b"one", b"L1"), (b"two", b"C2")


def test_what_was_answered_is_not_given_back() -> None:
    rights = Rights(ManualClock())
    rights.lost(*ONE, 10.0)
    rights.lost(*TWO, 10.0)
    rights.answered(*ONE)
    rights.answered(*ONE)
    assert rights.pending() == [TWO]


def test_it_is_given_back_once_where_nothing_can_come_after() -> None:
    clock = ManualClock()
    rights = Rights(clock)
    rights.lost(*ONE, 10.0)
    rights.returned(ONE, surely=True)
    clock.advance(100)
    assert (rights.pending(), rights.take_due(), len(rights)) == ([], [], 0)


def test_else_once_more_when_its_time_is_over() -> None:
    clock = ManualClock()
    rights = Rights(clock)
    rights.lost(*ONE, 10.0)
    rights.lost(*TWO, 20.0)
    rights.returned(ONE, surely=False)
    rights.returned(TWO, surely=False)
    assert (rights.pending(), rights.take_due(), len(rights)) == ([], [], 2)
    clock.advance(10)
    assert rights.take_due() == [ONE]
    clock.advance(10)
    assert rights.take_due() == [TWO]
    assert len(rights) == 0


def test_they_are_bounded() -> None:
    rights = Rights(ManualClock())
    for number in range(Rights.MAX + 5):
        rights.lost(b"%d" % number, b"L", 10.0)
    assert len(rights) == Rights.MAX
    assert rights.pending()[0] == (b"5", b"L")
