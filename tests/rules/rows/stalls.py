"""A server that stalls, and the reference cycles of a busy process."""

from tests.rules.rule import Row

GARBAGE = "tests/unit/engine/test_engine_garbage.py::test_a_call_leaves_nothing_to_the_collector"

ROWS = [
    Row(
        "handler_that_keeps_its_call",
        "free.cycles",
        "The handler of a call refers to its call, so the call's bytes stay in memory until a full collection.",
        "shared.commands:CommandSender.call",
        ("judged_all(commands, replies), asked", "judged_all(commands, replies), call"),
        GARBAGE,
    ),
    Row(
        "outcome_that_keeps_its_error",
        "free.cycles",
        "A failed load keeps its exception, whose traceback refers to the frames of its callers.",
        "policy.single_flight:Outcome.raise_error",
        ("if self.callers <= 0:", "if self.callers < 0:"),
        GARBAGE,
    ),
]
