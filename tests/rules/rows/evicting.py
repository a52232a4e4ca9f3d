"""A server that evicts, leases too."""

from tests.rules.rule import Row

_TESTS = "tests/faults/test_evicting.py"
_ASKING = "tests/unit/wire/test_server_evictions.py"

ROWS = [
    Row(
        "evictions_by_push",
        "wire.server_evictions.1",
        "A push for a key that is being loaded counts as an eviction.",
        "wire.server_evictions:Turnover.suspect",
        ("self._suspected = True", "self.evicting = True"),
        f"{_ASKING}::test_it_is_asked_in_the_handshake_then_once_a_minute_and_after_a_push",
    ),
    Row(
        "evictions_for_ever",
        "wire.server_evictions.2",
        "A server that has ever evicted counts as evicting.",
        "wire.server_evictions:Turnover.heard",
        ("count > self._known", "count >= self._known"),
        f"{_ASKING}::test_it_is_asked_in_the_handshake_then_once_a_minute_and_after_a_push",
    ),
    Row(
        "evictions_asked_anyway",
        "wire.server_evictions.3",
        "A server that does not report its count is asked again and again.",
        "wire.server_evictions:Turnover.heard",
        ("self._tells = self.evicting = False", "self.evicting = False"),
        f"{_ASKING}::test_who_does_not_tell_is_asked_once",
    ),
    Row(
        "loads_beside_itself",
        "flight.one",
        "A process whose lease was evicted loads once more while its first load runs.",
        "policy.single_flight:Flights.ahead",
        ("return None if first is flight else first", "return None"),
        f"{_TESTS}::test_one_loads_at_a_time_in_a_process",
    ),
]
