"""The times at which the link asks for the server's count of evictions, and the effect of the answers."""

import pytest

from fleetcache.wire.server_evictions import Turnover
from fleetcache.wire.session import ReplyError
from tests.support.clock import ManualClock


def test_it_is_asked_in_the_handshake_then_once_a_minute_and_after_a_push() -> None:
    clock = ManualClock()
    turnover = Turnover(clock)
    assert turnover.is_due()
    turnover.heard(b"# Stats\r\nevicted_keys:5\r\n")
    assert (turnover.is_due(), turnover.evicting) == (False, False)
    turnover.suspect()
    assert not turnover.evicting  # a push alone proves nothing
    assert (turnover.is_due(), turnover.is_due()) == (True, False)
    turnover.heard(b"evicted_keys:6")
    assert turnover.evicting
    clock.advance(61)
    assert turnover.is_due()
    turnover.heard(b"evicted_keys:6")
    assert not turnover.evicting
    turnover.suspect()
    turnover.begin()  # another connection, whose count says nothing about the earlier one
    assert turnover.is_due()
    turnover.heard(b"evicted_keys:9000")
    assert not turnover.evicting


@pytest.mark.parametrize("said", [ReplyError("NOPERM no"), b"", b"evicted_keys:many", None, 7, [1]])
def test_who_does_not_tell_is_asked_once(said: object) -> None:
    clock = ManualClock()
    turnover = Turnover(clock)
    turnover.heard(b"evicted_keys:5")
    turnover.heard(said)
    turnover.suspect()
    clock.advance(100)
    assert (turnover.is_due(), turnover.evicting) == (False, False)
