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
]
