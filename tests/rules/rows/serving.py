"""The code between the cache and a web server: probes, responses, Django, the embedded server."""

from tests.rules.rule import Row

OPS = "tests/ops/test_app.py::"
CHECKS = "tests/ops/test_checks.py::"

ROWS = [
    Row(
        "live_asks_the_cache",
        "ops.app.1",
        "The live route waits for the cache and the checks.",
        "ops.app:OpsApp._live",
        ('return _answer({"status": "alive"})', "return _answer(await self._report())"),
        OPS + "test_live_looks_at_nothing",
    ),
    Row(
        "ready_while_connecting",
        "ops.app.2",
        "Ready before the first attempt to connect has ended.",
        "ops.app:OpsApp._not_ready",
        ("if not self._cache.tried:", "if False:"),
        "tests/ops/test_app_server.py::test_ready_waits_for_the_first_attempt_to_end_either_way",
    ),
    Row(
        "ready_while_shutting_down",
        "ops.app.2",
        "Ready while the process ends.",
        "ops.app:OpsApp._not_ready",
        ("if self._ending:", "if False:"),
        OPS + "test_ready_is_withdrawn_when_the_app_says_that_it_ends_and_no_check_is_asked_any_more",
    ),
    Row(
        "health_is_always_200",
        "ops.app.3",
        "An unhealthy report is answered with 200.",
        "ops.app:OpsApp._health",
        ('body["status"].http_status', "200"),
        OPS + "test_a_failing_check_counts_by_whether_it_is_critical",
    ),
    Row(
        "answers_may_be_stored",
        "ops.app.4",
        "A proxy may answer health from its own memory.",
        "ops.app:_unstored",
        ('= "no-store"', '= "public"'),
        OPS + "test_an_unknown_path_is_404_and_not_stored_either",
    ),
    Row(
        "checks_run_at_each_probe",
        "ops.checks.1",
        "Each probe runs all checks.",
        "ops.checks:Checks.results",
        ("self._clock() - self._began >= EVERY", "True"),
        CHECKS + "test_results_are_shared_for_a_second",
    ),
    Row(
        "a_probe_ends_the_run",
        "ops.checks.2",
        "A probe that goes away ends the run that others wait for.",
        "ops.checks:Checks.results",
        ("await asyncio.shield(run)", "await run"),
        CHECKS + "test_a_probe_that_goes_away_does_not_end_the_run_for_the_others",
    ),
    Row(
        "a_hung_check_is_called_again",
        "ops.checks.3",
        "A check that hangs is called again and again.",
        "ops.checks:_Runner.run",
        ("if self._call is not None and not self._call.done():", "if False:"),
        CHECKS + "test_a_check_that_cannot_be_stopped_holds_up_nobody_and_is_not_called_again_until_it_ends",
    ),
    Row(
        "messages_of_exceptions_are_shown",
        "ops.checks.4",
        "The text of a check's exception is shown, with any secret in it.",
        "ops.checks:_Runner._ask",
        ("error = type(caught).__name__", "error = repr(caught)"),
        OPS + "test_what_an_exception_says_is_never_shown",
    ),
]
