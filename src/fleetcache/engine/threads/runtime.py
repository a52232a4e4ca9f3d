"""The runtime of the sync face: waits block the calling thread, loads run in it, refreshes run in a small pool.

For a thread nothing here suspends, so a coroutine of policy ends in a single step. A task (``SyncCache.aio``) suspends
where a thread would block, and its loads run in tasks of its loop.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from time import sleep
from typing import Any, Protocol

from ...clock import Clock
from ...log import TELL, Teller
from ...policy.ports import Alarm, FlightPort, Landed, LimitPassed, LoaderEndedError, Work
from ..aio.runtime import call_awaited, call_limited, tell_defect
from .alarms import Alarms
from .monitor import AwaitOutside, Monitor, ThreadFuture, answerless
from .pool import RefreshPool
from .tasks import ThreadSafeTask, follow, heard

__all__ = ["ThreadRuntime", "call_alone", "call_plain", "has_room"]

# The most frames that the rules take, from a verb to the bytes of a value. With less room on the stack no rule may
# begin, because a RecursionError would break it off in the middle.
ROOM = 80


class Timer(Protocol):
    """Rings alarms and judges overdue calls: the connection of the link thread."""

    def alarm(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """Call ``ring`` after ``delay`` seconds."""
        ...

    def look_at_clock(self) -> None:
        """Judge the overdue calls now."""
        ...


class Waiting(Protocol):
    """Waits for futures: the monitor, or the socket, whose waiting threads read the replies."""

    def wait(self, future: ThreadFuture, timeout: float) -> bool:
        """Release the monitor until the future has a result or the time has run out; return whether it has one."""
        ...


class ThreadRuntime:
    """Waiting and running on threads, with the futures of threads.

    Args:
        clock: Seconds.
        random: Returns a number in [0, 1).
        monitor: Held by the calling thread, for every method.
        pool: Runs the refreshes.
        patience: Seconds that a wait without its own bound takes at most: one operation timeout.
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
        self._alarms = Alarms(monitor)
        self.timer: Timer | None = None
        self.waiting: Waiting = monitor
        self.closed = False
        self._tasks: dict[asyncio.Task[None], ThreadSafeTask] = {}  # strong references: a loop keeps only weak ones

    def me(self) -> Any:
        """Return the task that runs a rule now; ``None`` if a thread runs it."""
        return asyncio.current_task() if self._monitor.suspends else None

    async def wait(self, future: Any, until: float | None) -> Any:
        """Block this thread until the future has a result, and return it; at ``until`` return ``NO_ANSWER``."""
        if self._monitor.suspends:
            return await self._wait_as_task(future, until)
        left = self._patience if until is None else max(0.0, until - self.clock())
        if self.waiting.wait(future, left):
            return future.result()
        if self.timer is not None:
            self.timer.look_at_clock()  # the link thread may know of a later time
        return answerless(future)

    async def _wait_as_task(self, future: ThreadFuture, until: float | None) -> Any:
        """Wait as ``wait`` does, without blocking the thread.

        For its own flight, which runs in another task, a task waits without a bound.
        """
        while not future.opened:
            left = self._patience if until is None else until - self.clock()
            if left <= 0:
                break
            await heard(future, left)
            if self.timer is not None and not future.opened:
                self.timer.look_at_clock()  # as above; this resolves the futures of overdue calls
        return answerless(future)

    async def pause(self) -> None:
        """Let the other tasks of the loop run, or the other threads, which wait for the monitor."""
        await AwaitOutside(partial(asyncio.sleep if self._monitor.suspends else sleep, 0))

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Run the loader in this thread or task, without the monitor."""
        call = call_awaited if self._monitor.suspends else call_plain
        return await AwaitOutside(partial(call, loader, *args))

    async def run_limited(
        self, seconds: float, passed: LimitPassed, ended: Callable[[], None], loader: Callable[..., Any], *args: Any
    ) -> Any:
        """Run the loader. For a task, the limit cancels it; for a thread, the limit is only told."""
        if self._monitor.suspends:

            def locked_passed(*, stays: bool) -> None:
                with self._monitor.locked():
                    passed(stays=stays)

            def locked_ended() -> None:
                with self._monitor.locked():
                    ended()

            return await AwaitOutside(partial(call_limited, seconds, locked_passed, locked_ended, loader, *args))
        rang = False

        def ring() -> None:
            nonlocal rang
            rang = True
            passed(stays=True)

        alarm = self.call_later(seconds, ring)
        try:
            return await AwaitOutside(partial(call_plain, loader, *args))
        finally:
            alarm.cancel()
            if rang:
                ended()

    async def spawn(self, flight: FlightPort, work: Work, landed: Landed) -> None:
        """Run the work at once in this thread, which alone can end it; for a task, in a task of the flight."""
        if self._monitor.suspends:
            self._spawn(flight, work, landed)
            return
        try:
            await work()
        finally:
            landed()

    def spawn_background(self, flight: FlightPort, work: Work, landed: Landed) -> bool:
        """Run the work in the pool, if there is room; for a task, in a task of its loop.

        Returns:
            ``False`` when there is no room, or after ``close``.
        """
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
        """Run the work in a task of this loop, under a copy of this caller's context."""

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
        """Have the link thread call ``ring`` after ``delay`` seconds; without a server, a thread that ends later."""
        return self._alarms.add(delay, ring) if self.timer is None else self.timer.alarm(delay, ring)

    async def close(self, patience: float) -> None:
        """Start no more refreshes, cancel the tasks, and give running refreshes ``patience`` seconds to end.

        The leases of refreshes that run longer are released afterwards, by ``Engine.drain``.
        """
        self.closed = True
        for task in self._tasks.values():
            task.cancel()
        with self._monitor.released():
            self._pool.close(patience)


def call_plain(loader: Callable[..., Any], *args: Any) -> Any:
    """Call a loader and return its result.

    Raises:
        TypeError: The result is an awaitable, which no thread can wait for.
        LoaderEndedError: A future that the loader waited for was cancelled.
    """
    try:
        result = loader(*args)
    except CancelledError as error:  # a future that the loader waited for was cancelled: no answer for other callers
        raise LoaderEndedError(error) from None
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # otherwise Python would warn as well that the coroutine was never awaited
        name = getattr(loader, "__qualname__", repr(loader))
        raise TypeError(
            f"the loader {name} returned a {type(result).__name__}, which a thread cannot await: use a `def`"
        )
    return result


def call_alone(loader: Callable[..., Any], *args: Any) -> Any:
    """Call a loader for a single caller, while no other caller waits for it: a cancellation is raised as it is."""
    try:
        return call_plain(loader, *args)
    except LoaderEndedError as error:
        raise error.original from None


def has_room(frames: int = ROOM) -> bool:
    """Return True if the stack of this thread has room for this many more frames."""
    try:
        _descend(frames)
    except RecursionError:
        return False
    return True


def _descend(frames: int) -> None:
    if frames:
        _descend(frames - 1)
