"""The way to the server: what the link proves, when it knocks again, and what is said of it."""

from tests.rules.rule import Row

ROWS = [
    Row(
        "backoff_begins_anew",
        "wire.link.6",
        "A connection that was dropped after its handshake begins the backoff anew.",
        "wire.link:Link.lost",
        ("now - self._ready_at >= self.HELD", "True"),
        "tests/core/test_link.py::test_only_a_connection_that_held_begins_the_backoff_anew",
    ),
    Row(
        "recovery_is_quiet",
        "outages.1",
        "The end of an outage is told at a level that default logging hides.",
        "outages:Outages.ended",
        ("logging.WARNING", "logging.INFO"),
        "tests/core/test_outages.py::test_the_end_of_an_outage_has_the_level_of_its_beginning",
    ),
    Row(
        "each_flap_is_told",
        "outages.2",
        "A link that flaps writes a pair of lines each time.",
        "outages:Outages.look",
        ("quiet < QUIET", "False"),
        "tests/core/test_outages.py::test_a_link_that_flaps_has_one_pair_a_minute_and_then_a_count",
    ),
    Row(
        "not_me_is_a_sign_of_life",
        "wire.session.5",
        "A server that says MOVED, READONLY or CLUSTERDOWN prolongs the trust in near.",
        "wire.session:Session._take",
        ("if errors.denied:", "if False:"),
        "tests/core/test_session.py::test_an_error_that_says_not_me_is_answered_and_no_sign_of_life",
    ),
    Row(
        "demoted_is_believed",
        "recovery.1",
        "A primary that was made a replica is believed for as long as it answers.",
        "recovery:Recovery._is_the_same",
        ("standing.is_replica and wire is not None", "False"),
        "tests/traps/test_demoted.py::test_a_reader_leaves_a_primary_that_was_demoted",
    ),
    Row(
        "another_history_is_believed",
        "recovery.2",
        "A server that was demoted and promoted again between two heartbeats is believed.",
        "recovery:Recovery._is_the_same",
        ("standing.replid != greeting.standing.replid", "False"),
        "tests/traps/test_demoted.py::test_a_server_with_another_history_is_not_believed",
    ),
    Row(
        "refused_info_is_asked_again",
        "recovery.2",
        "Who may not ask INFO asks it with every heartbeat.",
        "recovery:Recovery._is_the_same",
        ("greeting.is_watched = reply_reason(reply) in TRANSIENT", "pass"),
        "tests/traps/test_demoted.py::test_who_may_not_ask_is_not_for_ever_asking",
    ),
    Row(
        "acknowledged_is_done",
        "past.recent",
        "What a replaced primary acknowledged is not removed from its successor.",
        "recent:Recent.missed_by",
        ("if history.may_lack(self.history)", "if False"),
        "tests/core/test_recent.py::test_only_another_history_may_lack_them",
    ),
    Row(
        "minute_runs_out_in_an_outage",
        "past.recent",
        "What was acknowledged just before a long outage is not removed from the server that comes after it.",
        "recent:Recent.missed_by",
        ("return list", "self.heard(self._clock()); return list"),
        "tests/core/test_recent.py::test_an_outage_does_not_use_up_their_minute",
    ),
]
