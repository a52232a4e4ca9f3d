"""Servers and proxies of every kind, URLs, and what is said of them."""

from tests.rules.rule import Row

CLOSINGS = "tests/core/test_closings.py"

ROWS = [
    Row(
        "one_close_condemns",
        "wire.closings.1",
        "A connection that is closed at HELLO once takes RESP3 from an instance.",
        "wire.closings:Closings.closed_at",
        ("if self.spoke and self._before == word:", "if self.spoke:"),
        f"{CLOSINGS}::test_a_server_that_is_going_away_closes_at_anything",
    ),
    Row(
        "refused_commands_are_sent",
        "wire.closings.2",
        "What closes the connection is sent again at each attempt.",
        "wire.closings:Closings.refusal",
        ("if word in self._until else None", "if not self._until else None"),
        f"{CLOSINGS}::test_a_command_counts_when_it_closes_twice_in_a_row_the_second_time_behind_an_answer",
    ),
    Row(
        "closings_are_never_forgotten",
        "wire.closings.3",
        "HELLO is not tried again although another server is there.",
        "wire.closings:Closings.connected",
        ("if now < until}", "}"),
        f"{CLOSINGS}::test_it_is_tried_again_after_a_while",
    ),
    Row(
        "every_command_is_dispensable",
        "wire.closings.4",
        "What the cache cannot do without is not asked any more.",
        "wire.closings:Closings.closed_at",
        ("if word not in _DISPENSABLE:", "if not word:"),
        f"{CLOSINGS}::test_what_the_cache_needs_is_always_asked",
    ),
]
