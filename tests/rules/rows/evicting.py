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
        ("return first", "return None"),
        f"{_TESTS}::test_one_loads_at_a_time_in_a_process",
    ),
    Row(
        "loads_unasked_beside_a_hung_load",
        "flight.one",
        "A load that waited for a hung load of its process in vain begins without a look at the server.",
        "policy.loading:Loading._round",
        (
            "await self._outlast(run)",
            "if (await self._outlast(run), ctx.flights.ahead(run.key))[1]: return await self._load(run, None)",
        ),
        f"{_TESTS}::test_who_waited_for_a_hung_load_in_vain_asks_the_server_before_it_loads",
    ),
    Row(
        "batch_waits_for_a_hung_load_for_ever",
        "flight.one",
        "A batch asks the server again and again until a hung load of its process has ended.",
        "policy.single_flight:Flights.all_ahead",
        ("if flight is not None and now >= give_up and", "if flight is not None and False and"),
        f"{_TESTS}::test_who_waited_for_a_hung_load_in_vain_loads_and_stores[tasks-get_or_set_many]",
    ),
    Row(
        "loads_on_a_mark_wait_for_each_other",
        "flight.cycle",
        "A load that may load on a mark waits for a load that waits its turn behind it: its caller gets LoadCycle.",
        "policy.single_flight:Flights.lead",
        ("joined.reaches(flight, idle=True)", "joined is flight"),
        f"{_TESTS}::test_two_refreshes_that_waited_for_an_ill_source_load_one_after_another",
    ),
    Row(
        "loads_wait_their_turn_behind_each_other",
        "flight.cycle",
        "A load waits its turn behind an earlier load that waits for it: its caller gets LoadCycle.",
        "policy.single_flight:Flights.ahead",
        ("if flight is None or not first.reaches(flight, idle=True):", "if True:"),
        "tests/unit/policy/test_single_flight.py::test_a_load_does_not_wait_for_one_that_waits_its_turn_behind_it",
    ),
]
