"""A user's own checks: run concurrently, each with its own timeout, and shared by all concurrent probes.

Rules:

1. A run of all checks begins at most once a second; probes in between get the results of the last run.
2. A probe that goes away does not end the run for the other probes.
3. A check that exceeds its timeout has failed and is cancelled. If the check does not stop, it is not called again
   until it has.
4. Only the type name of an exception is shown, because messages hold addresses and passwords.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..clock import Clock, monotonic
from ..config.durations import Duration, config_error, parse_duration
from ..errors import ConfigError

__all__ = ["EVERY", "Check", "CheckFunction", "Checks", "Result"]

CheckFunction = Callable[[], Awaitable[bool | str | None]]
"""Called without arguments. Passed: None, True, or text to be shown. Failed: False, or any exception."""

EVERY = 1.0
"""Seconds between two runs, for any number of probes. The cache probes its own server as often."""

_RETURNS = "accepted: None, True or text when all is well, else False or an exception"


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the user's own, as part of the report.

    Args:
        fn: An async function without arguments that returns None, True or text when the check has passed, and returns
            False or raises when it has failed.
        timeout: Longest time the function may take, as a duration. The default is a second, so that the report is
            ready before most probes give up.
        critical: True makes the app unhealthy when the check fails, False degraded. The default is True, because
            users rarely check a dependency that the app does not need.

    Raises:
        ConfigError: ``fn`` cannot be called, ``timeout`` is not a duration, or ``critical`` is not a boolean.

    Example:
        >>> async def mail_server() -> None: ...
        >>> Check(mail_server, timeout="300ms", critical=False).limit
        0.3
    """

    fn: CheckFunction
    timeout: Duration = "1s"
    critical: bool = True
    limit: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        fn: object = self.fn
        critical: object = self.critical
        if not callable(fn):
            raise config_error("Check.fn", fn, "cannot be called", "an async function without arguments")
        if not isinstance(critical, bool):
            raise config_error("Check.critical", critical, "is not a boolean", "True, False")
        object.__setattr__(self, "limit", parse_duration(self.timeout, name="Check.timeout"))


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one check; ``took`` is in seconds, ``error`` the name of an exception's type or ``timeout``."""

    ok: bool
    critical: bool
    took: float = 0.0
    detail: str | None = None
    error: str | None = None

    def as_dict(self, *, full: bool) -> dict[str, Any]:
        """Return the result for JSON: the status alone, or all fields."""
        status = {"status": "ok" if self.ok else "failed"}
        if not full:
            return status
        took_ms = round(self.took * 1000, 3)
        return status | {
            "critical": self.critical,
            "took_ms": took_ms,
            "detail": self.detail,
            "error": self.error,
        }


class Checks:
    """All checks of one app.

    Args:
        checks: By name: a ``Check``, or a function that becomes a ``Check`` with the defaults.
        clock: Seconds, to tell when the next run may begin.

    Raises:
        ConfigError: ``checks`` is not a mapping, a name is not text, or a value is not a check.
    """

    def __init__(self, checks: Mapping[str, Check | CheckFunction] | None, clock: Clock = monotonic) -> None:
        given: object = {} if checks is None else checks
        if not isinstance(given, Mapping):
            raise config_error("checks", given, "is not a mapping", "a dict of names and async functions or Check(...)")
        self._runners = {_name(name): _Runner(_check(name, check), clock) for name, check in given.items()}
        self._clock = clock
        self._began = 0.0
        self._run: asyncio.Task[dict[str, Result]] | None = None

    async def results(self) -> dict[str, Result]:
        """Return the result of each check, from now or at most a second ago."""
        if not self._runners:
            return {}
        run = self._run
        if run is None or run.cancelled() or (run.done() and self._clock() - self._began >= EVERY):
            self._began = self._clock()
            run = self._run = asyncio.get_running_loop().create_task(self._all(), name="fleetcache-checks")
        return await asyncio.shield(run)

    async def _all(self) -> dict[str, Result]:
        results = await asyncio.gather(*(runner.run() for runner in self._runners.values()))
        return dict(zip(self._runners, results, strict=True))


class _Runner:
    """Calls one check, and remembers a call that did not stop when cancelled."""

    def __init__(self, check: Check, clock: Clock) -> None:
        self._check = check
        self._clock = clock
        self._call: asyncio.Task[Result] | None = None

    async def run(self) -> Result:
        check, began = self._check, self._clock()
        if self._call is not None and not self._call.done():
            return Result(ok=False, critical=check.critical, error="timeout")  # rule 3
        call = self._call = asyncio.get_running_loop().create_task(self._ask(began), name="fleetcache-check")
        try:
            # Not ``asyncio.timeout``, which would wait for a check that ignores its cancellation.
            await asyncio.wait((call,), timeout=check.limit)
            if call.done():
                return Result(False, check.critical, error="CancelledError") if call.cancelled() else call.result()
            return Result(ok=False, critical=check.critical, took=self._clock() - began, error="timeout")
        finally:
            call.cancel()

    async def _ask(self, began: float) -> Result:
        ok, detail, error = False, None, None
        try:
            answer: object = self._check.fn()
            said = await answer if inspect.isawaitable(answer) else answer
            if not inspect.isawaitable(answer) or not (said is None or isinstance(said, bool | str)):
                detail, error = f"returned {type(said).__name__}; {_RETURNS}", "TypeError"
            else:
                ok, detail = said is not False, said if isinstance(said, str) else None
        except Exception as caught:  # noqa: BLE001 - any exception of a check is its result
            error = type(caught).__name__
        return Result(ok, self._check.critical, self._clock() - began, detail, error)


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise config_error("the name of a check", name, "is not a name", "text that is not empty")
    return name


def _check(name: str, check: object) -> Check:
    if isinstance(check, Check):
        return check
    if callable(check):
        return Check(check)
    problem = f"checks[{name!r}] is a value of type {type(check).__name__}"
    raise ConfigError(f"{problem}; accepted: an async function without arguments, or Check(...)")
