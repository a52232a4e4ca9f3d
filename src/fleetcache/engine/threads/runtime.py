"""The world of the sync face: gates block the calling thread, loads run in it, refreshes run in a small pool.

For a thread nothing here suspends, so a coroutine of policy ends in a single step. For a task (``SyncCache.aio``) what
would block suspends it, and loads run in tasks of its loop.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, Protocol

from ...clock import Clock
from ...log import TELL, Teller
from ...policy.ports import Alarm, FlightPort, Landed, LoaderEndedError, Work
from ..aio.runtime import call_awaited, tell_defect
from .monitor import AwaitOutside, Monitor, ThreadFuture, answerless
from .pool import RefreshPool
from .tasks import ThreadSafeTask, follow, heard

__all__ = ["ThreadRuntime", "call_alone", "call_plain", "has_room"]

# Frames that the rules take at most, from a verb to the bytes of a value: without so much room no rule may begin, or
# a RecursionError would break it off in the middle.
ROOM = 80


class Timer(Protocol):
    """Who rings alarms, and judges what is overdue: the link thread's wire."""

    def alarm(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """Call ``ring`` after ``delay`` seconds."""
        ...

    def look_at_clock(self) -> None:
        """Judge now what is overdue."""
        ...

    def wait(self, future: ThreadFuture, timeout: float) -> bool:
        """Let the others in until the gate is open or the time is over; whether it is open."""
        ...


class ThreadRuntime:
    """Waiting and running on threads. Its gates are threads' gates.

    Args:
        clock: Seconds.
        random: In [0, 1).
        monitor: Held by whoever calls anything here.
        pool: Where refreshes run.
        patience: Seconds a wait without a bound of its own takes at most: one operation timeout.
        tell: Writes to the log.
    """

    future = ThreadFuture

    def __init__(
        self,
        clock: Clock,
        random: Callable[[], float],
        monitor: Monitor,
        pool: RefreshPool,
        patience: float,
        tell: Teller = TELL,
    ) -> None:
        self.clock, self.random, self._tell = clock, random, tell
        self._monitor, self._pool, self._patience = monitor, pool, patience
        self.timer: Timer | None = None
        self.closed = False
        self._tasks: dict[asyncio.Task[None], ThreadSafeTask] = {}  # a loop itself keeps only weak references

    def me(self) -> Any:
        """The task that runs a rule now, if it is one."""
        return asyncio.current_task() if self._monitor.suspends else None

    async def wait(self, future: Any, until: float | None) -> Any:
        """Block this thread until the gate is open; ``NO_ANSWER`` at ``until``."""
        if self._monitor.suspends:
            return await self._wait_as_task(future, until)
        left = self._patience if until is None else max(0.0, until - self.clock())
        waiting = self._monitor if self.timer is None else self.timer
        if waiting.wait(future, left):
            return future.result()
        if self.timer is not None:
            self.timer.look_at_clock()  # the link thread may have been told of a later time
        return answerless(future)

    async def _wait_as_task(self, future: ThreadFuture, until: float | None) -> Any:
        """The same without blocking. Its own flight, which is in another task, a task waits for without a bound."""
        while not future.opened:
            left = self._patience if until is None else until - self.clock()
            if left <= 0:
                break
            await heard(future, left)
            if self.timer is not None and not future.opened:
                self.timer.look_at_clock()  # as above; what is overdue has its answer then
        return answerless(future)

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Run the loader here, while others go on."""
        call = call_awaited if self._monitor.suspends else call_plain
        return await AwaitOutside(partial(call, loader, *args))

    async def spawn(self, flight: FlightPort, work: Work, landed: Landed) -> None:
        """Here and now, in this thread, which alone can end it; or in a task of the flight."""
        if self._monitor.suspends:
            self._spawn(flight, work, landed)
            return
        try:
            await work()
        finally:
            landed()

    def spawn_background(self, flight: FlightPort, work: Work, landed: Landed) -> bool:
        """In the pool, if it has room; or in a task."""
        if self.closed:
            return False
        if self._monitor.suspends:
            self._spawn(flight, work, landed)
            return True

        def job() -> None:
            self._monitor.run(work())

        def over() -> None:
            with self._monitor.locked():
                landed()

        return self._pool.start(job, over)

    def _spawn(self, flight: FlightPort, work: Work, landed: Landed) -> None:
        """In a task of this loop, under a copy of this caller's context."""

        async def fly() -> None:
            await follow(self._monitor, work())

        loop = asyncio.get_running_loop()
        task = loop.create_task(fly(), name="fleetcache-load")
        flight.task = self._tasks[task] = ThreadSafeTask(task, loop)

        def ended(task: "asyncio.Task[None]") -> None:
            error = None if task.cancelled() else task.exception()
            with self._monitor.locked():
                del self._tasks[task]
                landed(error)
            tell_defect(self._tell, error)

        task.add_done_callback(ended)

    def call_later(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """By the link thread. Without a server there is nothing to be reminded of."""
        return _NEVER if self.timer is None else self.timer.alarm(delay, ring)

    async def close(self, patience: float) -> None:
        """No more refreshes; those that run may end within ``patience`` seconds, what they hold is given back after."""
        self.closed = True
        for task in self._tasks.values():
            task.cancel()
        with self._monitor.released():
            self._pool.close(patience)


def call_plain(loader: Callable[..., Any], *args: Any) -> Any:
    """The loader's result.

    Raises:
        TypeError: It is an awaitable, which no thread can wait for.
    """
    try:
        result = loader(*args)
    except CancelledError as error:  # a future that it waited for was cancelled: that is no answer for others
        raise LoaderEndedError(error) from None
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # or Python would complain as well that nobody awaited it
        name = getattr(loader, "__qualname__", repr(loader))
        raise TypeError(
            f"the loader {name} returned a {type(result).__name__}, which a thread cannot await: use a `def`"
        )
    return result


def call_alone(loader: Callable[..., Any], *args: Any) -> Any:
    """The same for a caller with whom nobody waits."""
    try:
        return call_plain(loader, *args)
    except LoaderEndedError as error:
        raise error.original from None


def has_room(frames: int = ROOM) -> bool:
    """Whether the stack of this thread has room for so many frames more."""
    try:
        _descend(frames)
    except RecursionError:
        return False
    return True


def _descend(frames: int) -> None:
    if frames:
        _descend(frames - 1)


class _Never:
    def cancel(self) -> None:
        """Nothing would happen anyway."""


_NEVER = _Never()
