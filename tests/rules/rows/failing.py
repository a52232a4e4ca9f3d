"""Loads that fail: the mark they leave, and the loads beside each other that follow it."""

from tests.rules.rule import Row

FAILING = "tests/loading/test_failing.py::"
RIGHTS = "tests/unit/policy/test_rights.py::"

ROWS = [
    Row(
        "failure_without_a_mark",
        "policy.rights.1",
        "A failed load only returns its right: all callers that waited load one after another.",
        "policy.rights:Rights.end",
        (
            "self.fail(run, right, self._ctx.ports.clock() - began, timed_out=run.over_limit)",
            "self.release(run, right)",
        ),
        f"{FAILING}test_after_two_failed_loads_all_who_waited_load_at_the_same_time",
    ),
    Row(
        "mark_of_a_cancelled_load",
        "policy.rights.1",
        "A cancelled load counts as a failure of the source.",
        "policy.rights:Rights.end",
        (" and not isinstance(error, LoaderEndedError)", ""),
        f"{RIGHTS}test_a_load_that_was_broken_off_leaves_no_mark",
    ),
    Row(
        "callers_not_woken_by_a_mark_of_a_claim",
        "policy.rights.1",
        "Callers of the process whose claim ended with a mark wait until the claim would have ended.",
        "shared.store:Shared.fail",
        ("if not claim:", "if True:"),
        f"{FAILING}test_callers_of_the_process_whose_claim_failed_are_woken",
    ),
    Row(
        "one_failure_is_enough",
        "policy.rights.2",
        "After one failed load, which may be chance, all processes load.",
        "format.entry:FailedMark.ends_waits",
        ("self.failures >= ILL", "self.failures >= 1"),
        f"{FAILING}test_one_failed_load_is_followed_by_one",
    ),
    Row(
        "failures_not_counted",
        "policy.rights.2",
        "Each failure counts as the first, so no process ever loads beside another.",
        "policy.rights:Rights.fail",
        ("right.failures + 1", "1"),
        f"{FAILING}test_after_two_failed_loads_all_who_waited_load_at_the_same_time",
    ),
    Row(
        "all_load_on_a_mark",
        "policy.rights.2",
        "A caller that has waited for no load runs its loader beside others.",
        "policy.loading:Loading._replace",
        ("if run.waited and seen.failed.ends_waits:", "if seen.failed.ends_waits:"),
        f"{FAILING}test_later_callers_begin_with_one_load",
    ),
    Row(
        "mark_removed_by_a_load_on_it",
        "policy.rights.3",
        "The first failed load on a mark removes it, and the stores of the others are refused.",
        "policy.rights:Rights.release",
        ("if right is None or right.shared:", "if right is None:"),
        f"{RIGHTS}test_a_right_is_released_as_what_it_is",
    ),
    Row(
        "mark_counted_by_a_load_on_it",
        "policy.rights.3",
        "A failed load on a mark replaces the mark under the other loads.",
        "policy.rights:Rights.fail",
        ("if right.shared:", "if False:"),
        f"{RIGHTS}test_a_failed_load_leaves_a_mark_in_place_of_its_own_right",
    ),
    Row(
        "mark_outlives_the_value",
        "policy.rights.3",
        "The mark in the key of a claim stays after a load on it has stored its value.",
        "policy.loading:Loading.send",
        ("if right.claim_token is not None:", "if right.claim_token is not None and not right.shared:"),
        f"{FAILING}test_the_first_of_them_to_succeed_stores_its_value_and_the_others_keep_theirs",
    ),
    Row(
        "loads_on_a_mark_beside_each_other",
        "policy.rights.4",
        "Several flights of a process load on one mark.",
        "policy.single_flight:Flights.lead",
        ("        if joined is not None:\n            return None if joined is flight else joined\n", ""),
        f"{FAILING}test_a_process_runs_one_load_of_a_key_at_a_time",
    ),
    Row(
        "load_beside_a_detached_load_on_a_mark",
        "policy.rights.4",
        "A process takes the lease while its own load on a mark runs.",
        "policy.single_flight:Flights.beside",
        ("others = (self._table.get(flight.key), *self._detached.get(flight.key, ()))", "others = ()"),
        f"{FAILING}test_a_process_runs_one_load_of_a_key_at_a_time",
    ),
]
