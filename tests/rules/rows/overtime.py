"""Loads that take longer than ``load_wait``."""

from tests.rules.rule import Row

OVERTIME = "tests/unit/policy/test_overtime.py"

ROWS = [
    Row(
        "each_process_loads_beside",
        "policy.overtime.1",
        "After load_wait every process loads beside the first.",
        "shared.store:Shared.claim_second",
        ("return replies[0] is not None", "return True"),
        f"{OVERTIME}::test_the_first_to_end_stores",
    ),
    Row(
        "second_load_not_stored",
        "policy.overtime.2",
        "The second load is not stored, although it ends first.",
        "policy.overtime:Overtime.take",
        ("return Right(seen.stamp, claim_token, second=True)", "return None"),
        f"{OVERTIME}::test_the_first_to_end_stores",
    ),
    Row(
        "second_load_does_not_renew",
        "policy.overtime.3",
        "The second load does not renew the placeholder of a first load that has died.",
        "policy.rights:_Held._renew_base",
        ("self._ctx.shared.renew(", "repr("),
        f"{OVERTIME}::test_if_the_first_process_dies_the_second_keeps_the_right",
    ),
    Row(
        "second_load_waited_for_again_and_again",
        "policy.overtime.4",
        "A process waits again for loads that hang, at each call.",
        "policy.overtime:Overtime.both_hang",
        ("known is not None and", "False and"),
        f"{OVERTIME}::test_if_both_hang_each_process_loads_one_at_a_time_without_waiting_again",
    ),
    Row(
        "each_caller_loads_beside",
        "policy.overtime.4",
        "In a process each caller loads for itself beside a load that hangs.",
        "policy.single_flight:Flights.second",
        ("return self._second.get(key)", "return None"),
        f"{OVERTIME}::test_later_calls_of_the_process_of_a_load_that_hangs",
    ),
    Row(
        "second_load_outlives_its_cause",
        "policy.overtime.4",
        "A caller of the second load waits for it, although the first has brought the value.",
        "policy.single_flight:Flights.end",
        ("if second is not None and outcome.others is Resolution.RETURN:", "if False:"),
        f"{OVERTIME}::test_a_caller_of_the_second_load_gets_the_value_of_the_first_if_that_comes_before",
    ),
]
