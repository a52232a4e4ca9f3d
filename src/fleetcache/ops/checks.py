"""A user's own checks: run side by side, each within its own time, and shared by all probes that ask at once.

Rules:

1. A run of all checks begins at most once a second; probes in between get what the last one found.
2. A probe that goes away does not end the run for the others.
3. A check that is too slow has failed and is cancelled. If it does not stop, it is not called again until it has.
4. Of an exception only the name of its type is shown: messages hold addresses and passwords.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..clock import Clock, monotonic
from ..config.durations import Duration, refusal, seconds
from ..errors import ConfigError

__all__ = ["EVERY", "Check", "CheckFunction", "Checks", "Result"]

CheckFunction = Callable[[], Awaitable[bool | str | None]]
"""Called without arguments. Good: None, True, or text to be shown. Bad: False, or any exception."""

EVERY = 1.0
"""Seconds between two runs: as often as the cache asks its own server, however many load balancers probe."""

_RETURNS = "accepted: None, True or text when all is well, else False or an exception"


@dataclass(frozen=True, slots=True)
class Check:
    """Something of the user's own that the report should speak of.

    Args:
        fn: An async function without arguments: returns None, True or text when all is well, returns False or raises
            when not.
        timeout: Longest it may take, as a duration. A second, so that the report is there before most probes give up.
        critical: Whether the app is unhealthy without it; otherwise it is degraded. True: what is not needed is seldom
            checked.

    Raises:
        ConfigError: Something that cannot be called, a bad duration, or a ``critical`` that is no boolean.

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
            raise refusal("Check.fn", fn, "cannot be called", "an async function without arguments")
        if not isinstance(critical, bool):
            raise refusal("Check.critical", critical, "is not a boolean", "True, False")
        object.__setattr__(self, "limit", seconds(self.timeout, name="Check.timeout"))


@dataclass(frozen=True, slots=True)
class Result:
    """How one check went; ``took`` is in seconds, ``error`` the name of an exception's type or ``timeout``."""

    ok: bool
    critical: bool
    took: float = 0.0
    detail: str | None = None
    error: str | None = None

    def as_dict(self, *, full: bool) -> dict[str, Any]:
        """For JSON: the status alone, or everything."""
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
        checks: By name: a ``Check``, or a function that becomes one with the defaults.
        clock: Tells when a second is over.

    Raises:
        ConfigError: Not a mapping, a name that is no text, or a value that is no check.
    """

    def __init__(self, checks: Mapping[str, Check | CheckFunction] | None, clock: Clock = monotonic) -> None:
        given: object = {} if checks is None else checks
        if not isinstance(given, Mapping):
            raise refusal("checks", given, "is no mapping", "a dict of names and async functions or Check(...)")
        self._runners = {_name(name): _Runner(_check(name, check), clock) for name, check in given.items()}
        self._clock = clock
        self._began = 0.0
        self._run: asyncio.Task[dict[str, Result]] | None = None

    async def results(self) -> dict[str, Result]:
        """What the checks found, at most a second ago or now."""
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
    """Calls one check and remembers the call that would not end."""

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
            # Not ``asyncio.timeout``: that would wait for a check that does not listen to being cancelled.
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
        except Exception as caught:  # noqa: BLE001 - whatever a check raises is its answer
            error = type(caught).__name__
        return Result(ok, self._check.critical, self._clock() - began, detail, error)


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise refusal("the name of a check", name, "is no name", "text that is not empty")
    return name


def _check(name: str, check: object) -> Check:
    if isinstance(check, Check):
        return check
    if callable(check):
        return Check(check)
    problem = f"checks[{name!r}] is a value of type {type(check).__name__}"
    raise ConfigError(f"{problem}; accepted: an async function without arguments, or Check(...)")
