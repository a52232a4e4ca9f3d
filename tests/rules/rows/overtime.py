"""Loads that take longer than ``load_wait``."""

from tests.rules.rule import Row

OVERTIME = "tests/unit/policy/test_overtime.py"

ROWS = [
    Row(
        "each_process_loads_beside",
        "policy.overtime.1",
        "After load_wait every process loads beside the first.",
        "shared.store:Shared.claim_second",
        ("return replies[1] if replies[0] is None else claim_token", "return claim_token"),
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
        "policy.overtime:Overtime.waits_until",
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
    Row(
        "second_load_beside_nobody",
        "policy.overtime.5",
        "A process takes the right of a second load although the first has ended, and another process loads next.",
        "policy.overtime:Overtime._is_held",
        (
            "return await self._ctx.ask(self._ctx.shared.is_claimed(run.key, holder), run.budget) is True",
            "return True",
        ),
        "plan 2576",
    ),
    Row(
        "young_second_load_counts_as_hung",
        "policy.overtime.6",
        "A second load that has just begun counts as hung, because an earlier one began long ago.",
        "policy.overtime:Overtime._both_late",
        ("known[:2] != (first, second)", "known[0] != first"),
        f"{OVERTIME}::test_a_process_waits_for_a_second_load_that_begins_when_an_earlier_one_has_failed",
    ),
    Row(
        "second_loads_waited_for_without_end",
        "policy.overtime.6",
        "A caller waits for ever while second loads fail one after another.",
        "policy.overtime:Overtime.take",
        ("late = min(late, self._last(run))", "pass"),
        f"{OVERTIME}::test_no_caller_waits_for_ever_for_second_loads_that_fail_one_after_another",
    ),
    Row(
        "load_that_follows_not_waited_for",
        "policy.overtime.6",
        "A process loads beside a load that has just begun, because it has waited for the one before.",
        "policy.overtime:Overtime.waits_until",
        ("min(self._last(run), now + self._ctx.load_wait)", "run.give_up"),
        f"{OVERTIME}::test_the_load_of_a_process_that_follows_another_is_waited_for_as_the_one_before",
    ),
    Row(
        "loads_at_once_beside_two_that_hang",
        "policy.overtime.4",
        "While both loads hang, two calls of a process load at once.",
        "policy.overtime:Overtime.own",
        ("if now < self._last(run) else None", "if False else None"),
        f"{OVERTIME}::test_if_both_hang_the_verbs_of_a_process_load_one_after_another",
    ),
    Row(
        "right_of_the_earlier_load_not_read_again",
        "policy.overtime.5",
        "A caller loads without a right when the load that it waited for got or lost its own meanwhile.",
        "policy.loading:Loading._after",
        (" or earlier.right != right:", ":"),
        f"{OVERTIME}::test_a_caller_reads_again_if_the_load_that_it_waited_for_got_or_lost_its_right",
    ),
    Row(
        "second_load_beside_an_own_one_on_a_mark",
        "policy.overtime.7",
        "A process takes the right of a second load while it has a young load on a failed mark.",
        "policy.overtime:Overtime.waits_until",
        ("return until if own is None else", "return until if own is None or True else"),
        "plan own_load_on_a_mark",
    ),
    Row(
        "batch_that_asks_without_a_pause",
        "policy.overtime.6",
        "A batch that has waited for long reads the server without a pause until a mark or an entry has ended.",
        "policy.batch_load:BatchLoad._wait_for_others",
        ("give_up = self._ctx.ports.clock() + MAX_LOOK_AGAIN", "give_up = self._give_up"),
        "tests/unit/policy/test_batch_load.py::"
        "test_a_batch_that_waits_no_longer_for_loads_still_waits_for_a_mark_to_end",
    ),
]
