"""Limits of loads: ``load_limit``."""

from tests.rules.rule import Row

LIMITS = "tests/unit/policy/test_limits.py"

ROWS = [
    Row(
        "load_without_its_limit",
        "policy.limits.1",
        "A load takes longer than its load_limit.",
        "policy.limits:Limits.call",
        ("if run.options.load_limit is not None:", "if False:"),
        f"{LIMITS}::test_every_verb_that_loads_has_the_limit_of_its_cache",
    ),
    Row(
        "joined_threads_wait_on",
        "policy.limits.1",
        "Callers that joined the load of a thread wait for it beyond its limit.",
        "policy.loading:Loading._end_late",
        ("self._ctx.flights.end(run.flight, ", "repr("),
        f"{LIMITS}::test_a_thread_gets_what_its_own_loader_brings_and_joined_threads_do_not_wait",
    ),
    Row(
        "right_kept_over_the_limit",
        "policy.limits.1",
        "A thread's load over its limit keeps its lease, for which the fleet waits.",
        "policy.loading:Loading._end_late",
        ("self.rights.fail(run, right, run.options.load_limit or 0.0, timed_out=True)", "pass"),
        f"{LIMITS}::test_a_thread_gets_what_its_own_loader_brings_and_joined_threads_do_not_wait",
    ),
    Row(
        "late_value_stored",
        "policy.limits.2",
        "The value of a thread's load over its limit is kept.",
        "policy.loading:Loading._load_unconfirmed",
        ("outcome if run.late else await", "await"),
        f"{LIMITS}::test_a_thread_gets_what_its_own_loader_brings_and_joined_threads_do_not_wait",
    ),
    Row(
        "thread_refused_its_own_value",
        "policy.limits.3",
        "A thread gets LoadTimeout after it has waited for its own loader.",
        "policy.waits:Waits.outcome",
        ("if not joined and flight.late is not None:", "if False:"),
        f"{LIMITS}::test_a_thread_gets_what_its_own_loader_brings_and_joined_threads_do_not_wait",
    ),
    Row(
        "loader_not_cancelled_at_its_limit",
        "policy.limits.3",
        "A task's loader runs on after its limit, although it could be cancelled.",
        "engine.aio.runtime:call_limited",
        ("    task.cancel()\n    return NO_ANSWER", "    return NO_ANSWER"),
        f"{LIMITS}::test_a_load_that_hangs_ends_at_its_limit_for_all_callers",
    ),
    Row(
        "abandoned_loader_waited_for",
        "policy.limits.4",
        "The callers wait for a loader that ignores its cancellation.",
        "engine.aio.runtime:call_limited",
        ("    task.cancel()\n    return NO_ANSWER", "    task.cancel()\n    return await task"),
        f"{LIMITS}::test_a_loader_that_ignores_its_cancellation_is_abandoned",
    ),
    Row(
        "abandoned_loaders_not_counted",
        "policy.limits.4",
        "Health does not show loaders that run on after their limit.",
        "engine.aio.runtime:_abandon",
        ("passed(stays=False)", "pass"),
        f"{LIMITS}::test_a_loader_that_ignores_its_cancellation_is_abandoned",
    ),
]
