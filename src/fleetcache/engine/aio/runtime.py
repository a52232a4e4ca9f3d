"""The runtime of the asyncio face: waits are the loop's futures, flights are tasks, alarms are timers of the loop."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ...clock import Clock
from ...futures import Future, tell_unanswered
from ...log import TELL, Teller
from ...policy.ports import NO_ANSWER, Alarm, FlightPort, Landed, LimitPassed, LoaderEndedError, Work

__all__ = ["AioRuntime", "call_awaited", "call_limited", "tell_defect", "without_farewell"]

# uvloop counts in whole milliseconds, so its timers ring up to 1.5 ms too soon; this much later is late enough.
COARSE = 0.003


class _Timer:
    """A timer of the running loop that rings no sooner than its time by the cache's clock.

    The rules rely on that: a call whose wait ended too soon would have time left, and load before the link counts as
    late.
    """

    __slots__ = ("_clock", "_handle", "_until")

    def __init__(self, clock: Clock, until: float, ring: Callable[[], object]) -> None:
        self._clock, self._until = clock, until
        delay = max(0.0, until - clock())
        self._handle: asyncio.Handle | None = asyncio.get_running_loop().call_later(delay, self._look, ring)

    def _look(self, ring: Callable[[], object]) -> None:
        self._handle = None  # it refers to this timer
        if self._clock() < self._until:
            self._handle = asyncio.get_running_loop().call_later(COARSE, ring)
        else:
            ring()

    def cancel(self) -> None:
        """Let the timer not ring any more."""
        if self._handle is not None:
            self._handle.cancel()


class AioRuntime:
    """Waiting and running on the event loop of the caller.

    Args:
        clock: Seconds; the loop's own clock only measures durations.
        random: Returns a number in [0, 1).
        tell: Writes to the log.
    """

    def __init__(self, clock: Clock, random: Callable[[], float], tell: Teller = TELL) -> None:
        self.clock = clock
        self.random = random
        self._tell = tell
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order, so that the same run ends in the same way
        self.closed = False
        self.future: Callable[[], Future] = asyncio.Future
        self.me: Callable[[], Any] = asyncio.current_task

    def live_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make futures on this loop, which the cache has moved to.

        Asking for the running loop each time costs a system call, because the process may have forked.
        """
        self.future = loop.create_future

    def wait(self, future: Future, until: float | None) -> Awaitable[Any]:
        """Wait for the future, until a time at most.

        A timer resolves the future and no task is cancelled, so an answer that has come is never lost.
        """
        ours: asyncio.Future[Any] = future  # type: ignore[assignment] # made by ``future``
        return ours if until is None or ours.done() else self._wait_until(ours, until)

    async def _wait_until(self, future: "asyncio.Future[Any]", until: float) -> Any:
        timer = _Timer(self.clock, until, partial(tell_unanswered, future))
        try:
            return await future
        finally:
            timer.cancel()

    async def pause(self) -> None:
        """Let the other tasks of the loop run."""
        await asyncio.sleep(0)

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Await the loader."""
        return await call_awaited(loader, *args)

    async def run_limited(
        self, seconds: float, passed: LimitPassed, ended: Callable[[], None], loader: Callable[..., Any], *args: Any
    ) -> Any:
        """Await the loader for ``seconds`` at most."""
        return await call_limited(seconds, passed, ended, loader, *args)

    async def spawn(self, flight: FlightPort, work: Work, landed: Landed) -> None:
        """Run the work in a task of the flight, under a copy of this caller's context."""
        flight.task = self._spawn(work, landed)

    def spawn_background(self, flight: FlightPort, work: Work, landed: Landed) -> bool:
        """Run the work in a background task; return False after ``close``."""
        if self.closed:
            return False
        flight.task = self._spawn(work, landed)
        return True

    def _spawn(self, work: Work, landed: Landed) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work(), name="fleetcache-load")
        without_farewell(task)
        # The loop keeps only weak references.
        self._tasks[task] = None

        def ended(task: "asyncio.Task[None]") -> None:
            del self._tasks[task]
            error = None if task.cancelled() else task.exception()
            landed(error)
            tell_defect(self._tell, error)

        task.add_done_callback(ended)
        return task

    def call_later(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """Call ``ring`` after ``delay`` seconds; return the timer."""
        return _Timer(self.clock, self.clock() + delay, ring)

    async def close(self, patience: float) -> None:
        """Cancel the running loads and wait, ``patience`` seconds at most, until they have released their leases."""
        self.closed = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=patience)


async def call_awaited(loader: Callable[..., Any], *args: Any) -> Any:
    """Call an async loader and return its result.

    Raises:
        TypeError: The loader returned a plain value instead of an awaitable.
        LoaderEndedError: The loader was cancelled, and this task was not; or it ended by an error that is not an
            ``Exception``.
    """
    try:
        result = loader(*args)
    except BaseException as error:
        if isinstance(error, Exception):
            raise
        raise LoaderEndedError(error) from None
    if not inspect.isawaitable(result):
        name = getattr(loader, "__qualname__", repr(loader))
        raise TypeError(
            f"the loader {name} returned a {type(result).__name__}, not an awaitable: write it as `async def`"
        )
    try:
        return await result
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling() > 0:
            raise
        raise LoaderEndedError(error) from None
    except (Exception, GeneratorExit):  # GeneratorExit: this coroutine was abandoned
        raise
    except BaseException as error:  # noqa: BLE001 - handed on
        raise LoaderEndedError(error) from None


# Loaders that did not end when they were cancelled at their limit: a loop keeps only weak references.
_ABANDONED: "set[asyncio.Task[Any]]" = set()


async def call_limited(
    seconds: float, passed: LimitPassed, ended: Callable[[], None], loader: Callable[..., Any], *args: Any
) -> Any:
    """Call an async loader in a task of its own, and cancel that task after ``seconds``.

    A loader may ignore its cancellation. So its caller goes on without it.

    Returns:
        The loader's result; ``NO_ANSWER`` if the loader was cancelled at the limit.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    task = loop.create_task(call_awaited(loader, *args), name="fleetcache-loader")
    without_farewell(task)
    try:
        await asyncio.wait((task,), timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        try:  # the cleanup of a cancelled loader is a part of the load
            await asyncio.wait((task,), timeout=max(0.0, until - loop.time()))
        finally:
            _abandon(task, passed, ended)
        raise
    if task.done():
        return task.result()
    _abandon(task, passed, ended)
    task.cancel()
    return NO_ANSWER


def _abandon(task: "asyncio.Task[Any]", passed: LimitPassed, ended: Callable[[], None]) -> None:
    """Let a loader run on without a caller; its result or error is dropped."""

    def over(task: "asyncio.Task[Any]") -> None:
        _ABANDONED.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here, because no caller does
        if counted:
            ended()

    counted = not task.done()
    if counted:
        _ABANDONED.add(task)
        passed(stays=False)
    task.add_done_callback(over)


def without_farewell(task: "asyncio.Task[Any]") -> None:
    """Let a task of the cache end with its loop, without a warning from asyncio: no caller waits for it any more."""
    task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio does with its own


def tell_defect(tell: Teller, error: BaseException | None) -> None:
    """Log an error that ended the work of a flight. It is a defect: errors of loaders go to their callers."""
    if isinstance(error, Exception):
        text = "defect: a load ended (%s); please report it"
        tell(logging.ERROR, "defect", text, type(error).__name__, error=error)
