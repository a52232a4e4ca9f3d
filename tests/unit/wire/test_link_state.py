"""The link: a table of moves, and the silence that is suspect, offline, or the end; time is an argument."""

from typing import Any

import pytest

from fleetcache.wire.link_state import IllegalMoveError, Link, LinkState, Verdict
from tests.support.clock import ManualClock

S = LinkState
OPERATION, STALENESS, OFFLINE_TTL = 0.25, 2.0, 30.0

LEGAL = {
    (S.CONNECTING, S.RECOVERING),
    (S.CONNECTING, S.OFFLINE),
    (S.RECOVERING, S.ONLINE),
    (S.RECOVERING, S.OFFLINE),
    (S.ONLINE, S.SUSPECT),
    (S.ONLINE, S.OFFLINE),
    (S.SUSPECT, S.ONLINE),
    (S.SUSPECT, S.OFFLINE),
    (S.OFFLINE, S.RECOVERING),
    (S.OFFLINE, S.ONLINE),
    *((state, S.CLOSED) for state in S if state is not S.CLOSED),
}


class Told:
    """A link, its clock, and the reports to its listener."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.moves: list[tuple[str, str, bool]] = []
        self.link = Link(
            self.clock(),
            operation_timeout=OPERATION,
            max_staleness=STALENESS,
            offline_ttl=OFFLINE_TTL,
            on_state=lambda old, new, new_epoch: self.moves.append((old, new, new_epoch)),
        )

    def online(self) -> "Told":
        self.link.opened(self.clock())
        self.link.ready(self.clock(), self.clock())
        self.moves.clear()
        return self


@pytest.mark.parametrize("to", S)
@pytest.mark.parametrize("start", S)
def test_every_move_is_in_the_table_or_an_error(start: LinkState, to: LinkState) -> None:
    told = Told()
    told.link.state = start
    if (start, to) in LEGAL:
        told.link._move(to, told.clock(), reason="why")
        assert (told.link.state, told.link.reason, told.link.since) == (to, "why", told.clock())
        assert told.moves == [(start, to, False)]
    else:
        with pytest.raises(IllegalMoveError, match=f"from {start} to {to}"):
            told.link._move(to, told.clock(), reason=None)
        assert told.link.state is start
        assert told.moves == []


def test_the_way_to_online_begins_an_epoch() -> None:
    told = Told()
    assert (told.link.usable, told.link.tried, told.link.epoch) == (False, False, 0)
    told.link.opened(told.clock())
    assert not told.link.usable
    told.link.ready(told.clock(), told.clock())
    assert (told.link.usable, told.link.tried, told.link.epoch) == (True, True, 1)
    assert told.moves == [(S.CONNECTING, S.RECOVERING, False), (S.RECOVERING, S.ONLINE, True)]


def test_an_overdue_call_makes_the_link_suspect_and_a_reply_brings_it_back() -> None:
    told = Told().online()
    sent = told.clock()
    told.clock.advance(OPERATION - 0.001)
    assert told.link.check(sent, told.clock()) is Verdict.KEEP
    assert told.link.usable
    told.clock.advance(0.001)
    assert told.link.check(sent, told.clock()) is Verdict.KEEP
    assert (told.link.state, told.link.reason, told.link.usable) == (S.SUSPECT, "timeout", False)
    told.link.replied(sent, None, told.clock())
    assert (told.link.state, told.link.reason, told.link.epoch) == (S.ONLINE, None, 1)
    assert told.moves == [(S.ONLINE, S.SUSPECT, False), (S.SUSPECT, S.ONLINE, False)]


def test_a_reply_before_a_queue_that_is_still_old_leaves_the_link_suspect() -> None:
    told = Told().online()
    sent = told.clock()
    told.clock.advance(1.0)
    told.link.check(sent, told.clock())
    told.link.replied(sent, sent + 0.1, told.clock())
    assert not told.link.usable
    told.link.replied(sent + 0.1, told.clock() - OPERATION, told.clock())
    assert told.link.usable


def test_nothing_unanswered_is_no_silence() -> None:
    told = Told().online()
    told.clock.advance(1000)
    assert told.link.check(None, told.clock()) is Verdict.KEEP
    assert told.link.state is S.ONLINE
    assert told.link.next_check(None) is None


def test_silence_is_suspect_then_offline_then_the_end() -> None:
    told = Told().online()
    sent = told.clock()
    seen = []
    for at in (0.2, OPERATION, 1.9, STALENESS, 5.9, 3 * STALENESS):
        told.clock.advance(sent + at - told.clock())
        seen.append((told.link.check(sent, told.clock()), told.link.state))
    assert seen == [
        (Verdict.KEEP, S.ONLINE),
        (Verdict.KEEP, S.SUSPECT),
        (Verdict.KEEP, S.SUSPECT),
        (Verdict.KEEP, S.OFFLINE),
        (Verdict.KEEP, S.OFFLINE),
        (Verdict.ABORT, S.OFFLINE),
    ]
    assert told.link.reason == "timeout"


def test_a_process_that_slept_does_not_take_the_server_for_dead() -> None:
    """The silence counts from the oldest question: without a question, no answer is missing."""
    told = Told().online()
    told.clock.advance(3600)
    sent = told.clock()
    told.clock.advance(OPERATION)
    assert told.link.check(sent, told.clock()) is Verdict.KEEP
    assert told.link.connected
    told.link.replied(sent, None, told.clock())
    assert told.link.state is S.ONLINE


def test_any_reply_brings_an_offline_link_back_in_the_same_epoch() -> None:
    told = Told().online()
    sent = told.clock()
    told.clock.advance(STALENESS)
    told.link.check(sent, told.clock())
    assert told.link.state is S.OFFLINE
    told.link.replied(sent, None, told.clock())
    assert (told.link.state, told.link.epoch) == (S.ONLINE, 1)
    assert told.moves[-1] == (S.OFFLINE, S.ONLINE, False)


def test_a_late_reply_of_a_lost_connection_brings_nothing_back() -> None:
    told = Told().online()
    told.link.lost("reset", told.clock())
    told.link.replied(told.clock(), None, told.clock())
    assert (told.link.state, told.link.reason, told.link.connected) == (S.OFFLINE, "reset", False)


def test_replies_of_the_handshake_do_not_make_it_online() -> None:
    told = Told()
    told.link.opened(told.clock())
    told.link.replied(told.clock(), None, told.clock())
    assert told.link.state is S.RECOVERING
    assert told.link.trusted_until < told.clock()


def test_the_next_connection_is_the_next_epoch() -> None:
    told = Told().online()
    told.link.lost("reset", told.clock())
    told.link.opened(told.clock())
    assert repr(told.link) == "<Link recovering epoch=1 reason=reset>"
    told.link.ready(told.clock(), told.clock())
    assert repr(told.link) == "<Link online epoch=2 reason=None>"
    assert told.moves[-1] == (S.RECOVERING, S.ONLINE, True)


def test_the_newest_reason_is_shown_while_offline() -> None:
    told = Told()
    told.link.lost("refused", told.clock())
    told.link.lost("timeout", told.clock())
    assert (told.link.state, told.link.reason, told.link.tried) == (S.OFFLINE, "timeout", True)
    assert told.moves == [(S.CONNECTING, S.OFFLINE, False)]


def test_since_is_when_the_state_began() -> None:
    told = Told().online()
    began = told.clock()
    told.clock.advance(5)
    told.link.replied(told.clock(), None, told.clock())
    assert told.link.since == began


# -- horizon ---------------------------------------------------------------------------------------------------------


def test_near_is_trusted_until_max_staleness_after_the_newest_answered_command_was_sent() -> None:
    told = Told()
    assert told.link.trusted_until < told.clock()
    told.online()
    start = told.clock()
    assert told.link.trusted_until == start + STALENESS
    told.clock.advance(1)
    told.link.replied(start + 0.5, None, told.clock())
    assert told.link.trusted_until == start + 0.5 + STALENESS
    told.link.replied(start + 0.1, None, told.clock())  # an older reply changes nothing
    assert told.link.trusted_until == start + 0.5 + STALENESS


def test_suspect_does_not_prolong_the_trust_and_offline_has_a_bound_of_its_own() -> None:
    told = Told().online()
    start = told.clock()
    told.clock.advance(OPERATION)
    told.link.check(start, told.clock())
    assert told.link.trusted_until == start + STALENESS
    assert told.link.bound(5.0) == start + STALENESS
    told.link.lost("reset", told.clock())
    assert told.link.trusted_until == start + OFFLINE_TTL
    assert told.link.bound(5.0) == start + 5.0
    assert told.link.bound(0.0) == start


def test_a_cap_holds_the_horizon_against_newer_answers_until_it_is_lifted() -> None:
    told = Told().online()
    start = told.clock()
    told.link.hold_to(start + 1.5)
    assert told.link.trusted_until == told.link.bound(5.0) == start + 1.5
    told.clock.advance(1)
    told.link.replied(start + 1, None, told.clock())
    assert (told.link.trusted_until, told.link.vouched_until) == (start + 1.5, start + 1 + STALENESS)
    told.link.hold_to(start + 100)  # a later cap vouches for nothing
    assert told.link.trusted_until == start + 1 + STALENESS
    told.link.hold_to(start + 1.5)
    told.link.hold_to(float("inf"))
    assert told.link.trusted_until == start + 1 + STALENESS


# -- backoff and timers ----------------------------------------------------------------------------------------------


def test_backoff_grows_to_its_cap_and_is_jittered_over_its_whole_length() -> None:
    told = Told()
    told.link.lost("refused", told.clock())
    longest = [told.link.backoff(lambda: 1.0) for _ in range(8)]
    assert longest == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert told.link.backoff(lambda: 0.0) == 0.0
    assert told.link.backoff(lambda: 0.5) == 0.5


@pytest.mark.parametrize(("held", "reason", "wait"), [(10, "reset", 0.1), (9.9, "reset", 1.0), (0, "interrupted", 0.1)])
def test_only_a_connection_that_held_begins_the_backoff_anew(held: float, reason: str, wait: float) -> None:
    """Else each instance would ask for ten connections a second at a server that drops each after its handshake."""
    told = Told()
    told.link.lost("refused", told.clock())
    for _ in range(20):
        told.link.backoff(lambda: 1.0)
    told.online()
    told.clock.advance(held)
    told.link.lost(reason, told.clock())
    assert told.link.backoff(lambda: 1.0) == wait


def test_a_handshake_that_fails_late_is_no_connection_that_held() -> None:
    told = Told().online()
    told.link.lost("reset", told.clock())
    for _ in range(20):
        told.link.backoff(lambda: 1.0)
    told.link.opened(told.clock())
    told.clock.advance(100)
    told.link.lost("timeout", told.clock())
    assert told.link.backoff(lambda: 1.0) == 1.0


@pytest.mark.parametrize("reason", ["auth", "noperm", "cluster_mode", "tls"])
def test_what_only_a_person_can_mend_is_tried_seldom(reason: str) -> None:
    told = Told()
    told.link.lost(reason, told.clock())
    assert told.link.backoff(lambda: 0.0) == 5.0
    assert told.link.backoff(lambda: 1.0) == 10.0


def test_handshakes_without_an_answer_widen_the_backoff_from_the_second_on() -> None:
    """One that failed may be chance. When a fleet of thousands comes back, each second in line more is needed."""
    told = Told()
    longest = []
    for _ in range(7):
        told.link.opened(told.clock())
        told.link.lost("timeout", told.clock())
        longest.append(told.link.backoff(lambda: 1.0))
    assert longest == [0.1, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert (told.link.backoff(lambda: 0.0), told.link.backoff(lambda: 0.5)) == (0.0, 5.0)


def test_so_does_a_handshake_of_tls() -> None:
    told = Told()
    for _ in range(2):
        told.link.lost("timeout", told.clock(), shaking=True)
    assert told.link.backoff(lambda: 1.0) == 2.0


@pytest.mark.parametrize("reason", ["refused", "timeout", "reset", "unreachable"])
def test_twin_failed_connects_do_not(reason: str) -> None:
    """Back within two seconds of the server's return."""
    told = Told()
    for _ in range(20):
        told.link.lost(reason, told.clock())
        assert told.link.backoff(lambda: 1.0) <= 1.0


@pytest.mark.parametrize("reason", ["reset", "readonly", "loading", "protocol"])
def test_twin_nor_do_handshakes_that_were_answered(reason: str) -> None:
    """A failover may be over at once; a proxy closes connections as long as its server is away."""
    told = Told()
    for _ in range(20):
        told.link.opened(told.clock())
        told.link.lost(reason, told.clock())
        assert told.link.backoff(lambda: 1.0) <= 1.0


@pytest.mark.parametrize("better", ["a connect that fails", "a handshake that succeeds"])
def test_the_wider_backoff_ends_with(better: str) -> None:
    told = Told()
    for _ in range(5):
        told.link.opened(told.clock())
        told.link.lost("timeout", told.clock())
    if better == "a handshake that succeeds":
        told.online()
        told.link.lost("reset", told.clock())
    else:
        told.link.lost("refused", told.clock())
    told.link.backoff(lambda: 1.0)
    assert told.link.backoff(lambda: 1.0) <= 1.0


def test_a_server_without_a_place_is_asked_twice_in_30_s_and_has_its_client_back_within_30_s_of_room() -> None:
    told = Told()
    told.link.lost("maxclients", told.clock())
    shortest, longest = told.link.backoff(lambda: 0.0), told.link.backoff(lambda: 1.0)
    assert (2 * shortest, longest) == (30.0, 30.0)


def test_the_next_check_is_when_the_next_verdict_can_change() -> None:
    told = Told().online()
    sent = told.clock()
    found: list[Any] = [told.link.next_check(sent)]
    for at in (OPERATION, STALENESS):
        told.clock.advance(sent + at - told.clock())
        told.link.check(sent, told.clock())
        found.append(told.link.next_check(sent))
    assert found == [sent + OPERATION, sent + STALENESS, sent + 3 * STALENESS]
    told.link.lost("reset", told.clock())
    assert told.link.next_check(sent) is None


def test_a_closed_link_stays_closed() -> None:
    told = Told().online()
    told.link.close(told.clock())
    told.link.close(told.clock())
    told.link.lost("reset", told.clock())
    assert told.link.check(told.clock() - 100, told.clock()) is Verdict.KEEP
    assert (told.link.state, told.link.reason) == (S.CLOSED, "closed")
    assert told.moves == [(S.ONLINE, S.CLOSED, False)]


def test_it_shows_what_an_operator_asks() -> None:
    told = Told().online()
    told.link.lost("reset", told.clock())
    assert repr(told.link) == "<Link offline epoch=1 reason=reset>"
