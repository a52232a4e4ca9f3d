"""Limits: how long a load may take before it ends for all its callers (``load_limit``).

Rules:

1. At the limit the flight ends with ``LoadTimeout``, and its right with a failed mark that says so: callers of other
   processes that wait for the load get ``LoadTimeout``, too.
2. The value of a loader that ends after its limit is neither stored nor handed to a caller that joined.
3. The limit cancels the loader of a task. A thread cannot be stopped, so its caller waits for the loader's result.
4. A loader that runs on after its limit is *abandoned*, and counted in health until it ends. The next load of the key
   has the same limit, so one more at most is abandoned in that time.
"""

from functools import update_wrapper
from typing import Any

from ..config.durations import format_duration
from ..errors import LoadTimeout
from .context import Load, PolicyContext
from .places import Places
from .ports import NO_ANSWER, LoaderEndedError
from .single_flight import CURRENT

__all__ = ["Limits", "elsewhere_over_limit", "over_limit"]


def over_limit(run: Load) -> LoadTimeout:
    """Return the error of a load that took longer than its limit."""
    limit = format_duration(run.options.load_limit or 0.0)
    error = LoadTimeout(f"the load of {run.key!r} took longer than its load_limit of {limit}")
    error.over_limit = True
    return error


def elsewhere_over_limit(key: str) -> LoadTimeout:
    """Return the error for a caller that has waited for a load of another process, which took longer than its limit."""
    error = LoadTimeout(f"the load of {key!r} in another process took longer than its load_limit")
    error.over_limit = True
    return error


class Limits:
    """Runs loaders, within their limits.

    Attributes:
        abandoned: The number of loaders that run on after their limit.
    """

    def __init__(self, ctx: PolicyContext, places: Places) -> None:
        self._ctx, self._places = ctx, places
        self.abandoned = 0

    def __repr__(self) -> str:
        return f"<Limits {self.abandoned} abandoned>"

    async def call(self, run: Load) -> Any:
        """Run the loader, counted and timed."""
        ctx = self._ctx
        ctx.counters.loads += 1
        started = run.flight.since = ctx.ports.clock()
        run.flight.press()  # the loads that it starts, or waits for, need no places
        outer = CURRENT.set((run.flight, ctx.ports.me()))
        try:
            if run.options.load_limit is not None:
                return await self._limited(run, run.options.load_limit)
            return await ctx.ports.run_loader(run.loader, *run.args)
        except BaseException:
            ctx.counters.load_failures += 1
            raise
        finally:
            CURRENT.reset(outer)
            self._places.release(run)
            took = ctx.ports.clock() - started
            ctx.counters.load_seconds += took
            ctx.times.learn(run.group, took)

    async def call_directly(self, run: Load) -> Any:
        """Run the loader for its own caller alone."""
        ports = self._ctx.ports
        await self._places.take(run, ports.future())
        try:
            return await self.call(run)
        except LoaderEndedError as error:
            raise error.original from None

    async def _limited(self, run: Load, seconds: float) -> Any:
        """Run the loader of a load that has a limit.

        Raises:
            LoadTimeout: The loader took longer, and was cancelled.
        """
        ports = self._ctx.ports

        def enter(*args: Any) -> Any:
            # The loader may run in a task of its own, whose waits are those of the load.
            CURRENT.set((run.flight, ports.me()))
            return run.loader(*args)

        def passed(*, stays: bool) -> None:
            self.abandoned += 1
            if stays:
                self._count(run)
            if stays and run.end_late is not None:
                run.late = True
                run.end_late()

        def ended() -> None:
            self.abandoned -= 1

        result = await ports.run_limited(seconds, passed, ended, update_wrapper(enter, run.loader), *run.args)
        if result is NO_ANSWER:
            self._count(run)
            raise over_limit(run)
        return result

    def _count(self, run: Load) -> None:
        run.over_limit = True
        self._ctx.counters.load_limits += 1
