"""Loads that fail: the mark they leave, and the loads beside each other that follow it."""

from tests.rules.rule import Row

FAILING = "tests/loading/test_failing.py::"
DECLARED = "tests/loading/test_declared_errors.py::"
ERRORS = "tests/unit/policy/test_declared_errors.py::"
RIGHTS = "tests/unit/policy/test_rights.py::"
FLIGHTS = "tests/unit/policy/test_single_flight.py::"

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
        ("if right.shared or right.second:", "if False:"),
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
        "load_beside_a_detached_load_on_a_mark",
        "policy.rights.4",
        "A process takes the lease while its own load on a mark runs.",
        "policy.single_flight:Flights.beside",
        ("if other.on_mark or", "if False and other.on_mark or"),
        f"{FAILING}test_who_may_not_join_a_load_on_a_mark_waits_for_its_end",
    ),
    Row(
        "load_on_a_mark_known_twice",
        "policy.rights.4",
        "A load that callers join instead of the first stays in its old table: the process waits for it without end.",
        "policy.single_flight:Flights.lead",
        ("self._take_out(flight)", "pass"),
        f"{FLIGHTS}test_a_load_that_callers_join_instead_of_the_first_is_known_once",
    ),
    Row(
        "load_on_a_mark_beside_a_request",
        "policy.rights.4",
        "A load begins on a mark while another of its process asks for the lease, which is granted: both load.",
        "policy.single_flight:Flights.before_mark",
        ("if one.asks and", "if False and"),
        "plan right_asked_for_beside_a_mark",
    ),
    Row(
        "load_on_a_mark_behind_one_that_hangs",
        "policy.rights.4",
        "A batch asks again without end while an own load hangs that has lost its right, and reads without a pause.",
        "policy.single_flight:Flights.lead",
        ("if joined is not None and not joined.on_mark and", "if False and joined is not None and"),
        "tests/unit/policy/test_batch_load.py::"
        "test_a_batch_loads_on_a_mark_beside_a_load_of_its_process_that_hangs_without_a_right",
    ),
    Row(
        "subclass_stored_as_declared",
        "policy.declared_errors.1",
        "An error of a subclass is stored, and every other process takes it for a miss.",
        "policy.declared_errors:DeclaredErrors.time_of",
        (
            "self._times.get(type(error))",
            "next((time for kind, time in self._times.items() if isinstance(error, kind)), None)",
        ),
        f"{ERRORS}test_only_the_class_itself_has_a_time",
    ),
    Row(
        "declared_error_not_stored",
        "policy.declared_errors.1",
        "Each process asks the source for an error that belongs to the result.",
        "policy.loader_results:Unwrapping._error",
        ("None if errors is None else errors.time_of(error)", "None"),
        f"{DECLARED}test_a_declared_error_is_loaded_once_and_raised_everywhere",
    ),
    Row(
        "any_class_rebuilt",
        "policy.declared_errors.2",
        "A reader gets an error whose class it has not declared.",
        "policy.declared_errors:DeclaredErrors.rebuilt",
        ("self._classes.get(name) if type(name) is str else None", "next(iter(self._classes.values()))"),
        f"{DECLARED}test_an_unknown_class_is_a_miss",
    ),
    Row(
        "error_rebuilt_by_its_init",
        "policy.declared_errors.3",
        "The bytes of the server run the constructor of an error.",
        "policy.declared_errors:DeclaredErrors.rebuilt",
        ("base.__new__(kind, *args)", "kind(*args)"),
        f"{ERRORS}test_an_error_comes_back_from_its_args_without_its_init",
    ),
    Row(
        "error_without_its_attributes",
        "policy.declared_errors.4",
        "An error comes back without an attribute that its handler reads.",
        "policy.declared_errors:DeclaredErrors.written",
        ("if own:", "if False:"),
        f"{DECLARED}test_an_error_that_would_come_back_changed_is_told_and_not_stored",
    ),
    Row(
        "error_over_a_stale_value",
        "policy.declared_errors.1",
        "A background refresh replaces a stale value by an error.",
        "policy.loading:Loading.refresh",
        ("run.options = replace(run.options, errors=None)", "pass"),
        f"{DECLARED}test_refresh_stores_it_over_a_value_and_a_background_refresh_does_not",
    ),
    Row(
        "error_deleted_as_a_value",
        "policy.declared_errors.1",
        "delete says that it removed a live value, where an error was stored.",
        "shared.entries:Entries.was_alive",
        (" or header.is_error", ""),
        f"{DECLARED}test_a_decorated_function",
    ),
    Row(
        "entry_read_before_its_claim",
        "script.noscript",
        "A process loads under a claim an entry that it read before the claim was granted.",
        "policy.rights:Rights.ask_claim",
        ("if claimed.late:", "if False:"),
        f"{FAILING}test_a_claim_whose_script_was_forgotten_reads_the_entry_after_it",
    ),
]
