"""The server's tracking table: the questions about it, and the warning before it is full."""

from tests.rules.rule import Row

_TABLE = "tests/unit/wire/test_tracking_table.py"

ROWS = [
    Row(
        "table_not_asked_for",
        "wire.tracking_table.1",
        "Nobody asks the server for the limit of its tracking table.",
        "shared.recovery:Recovery.recover",
        ("self._told_of_server([stats, limit])", "self._told_of_server([stats])"),
        "tests/faults/test_tracking_table.py::test_health_metrics_log_and_doctor_warn_at_80_percent",
    ),
    Row(
        "table_limit_asked_anyway",
        "wire.tracking_table.2",
        "A server that refuses CONFIG GET is asked every minute.",
        "wire.tracking_table:TrackingTable.heard",
        ("self._tells_limit and most is not None", "self._tells_limit"),
        f"{_TABLE}::test_a_server_that_does_not_tell_its_limit_is_not_asked_again_on_this_connection",
    ),
    Row(
        "table_told_when_it_is_full",
        "wire.tracking_table.3",
        "The warning comes when the table is full, not before.",
        "wire.tracking_table:TrackingTable._know",
        ("self.share >= NEARLY_FULL", "self.share >= 1"),
        f"{_TABLE}::test_it_is_nearly_full_from_80_percent_on_and_tells_so_once",
    ),
]
