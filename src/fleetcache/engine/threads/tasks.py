"""Tasks among threads: the rules of a cache for threads, run for a task of any event loop without blocking it.

A task runs a rule under the monitor from one wait to the next, as a thread does. While it waits, it blocks neither the
monitor nor its loop. Nothing here belongs to one loop, so any number of loops may be used, short-lived ones too.
"""

from asyncio import AbstractEventLoop, Task, get_running_loop
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from .monitor import AwaitOutside, Monitor, ThreadFuture

__all__ = ["ThreadSafeTask", "follow", "heard"]

T = TypeVar("T")


async def follow(monitor: Monitor, coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the rules to its end in this task, and return its result."""
    move: Callable[[Any], Any] = coro.send
    given: Any = None
    while True:
        try:
            asked, over = monitor.step(move, given)
        finally:
            given = None  # this frame is in the traceback of an exception that was given
        if over:
            result: T = asked
            return result
        try:
            move, given = coro.send, await asked.begin()
        except BaseException as error:  # noqa: BLE001 - the rules handle it, a cancellation too
            move, given = coro.throw, error


async def heard(future: ThreadFuture, seconds: float) -> None:
    """Release the monitor, in a rule of a task, until the future has a result or ``seconds`` have passed."""
    bell = _Bell()
    future.set_waker(bell)
    await AwaitOutside(partial(bell.listen, seconds))


class _Bell:
    """A waker that any thread may release and that one task waits for."""

    __slots__ = ("_loop", "_rung")

    def __init__(self) -> None:
        self._loop = get_running_loop()
        self._rung = self._loop.create_future()

    def release(self) -> None:
        """Wake the task; a future calls this as it would release the lock that a thread sleeps at."""
        with suppress(RuntimeError):  # the loop has ended, and the waiting task with it
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        if not self._rung.done():
            self._rung.set_result(None)

    async def listen(self, seconds: float) -> None:
        timer = self._loop.call_later(seconds, self._ring)
        try:
            await self._rung
        finally:
            timer.cancel()


class ThreadSafeTask:
    """A task that any thread may cancel."""

    __slots__ = ("_loop", "_task")

    def __init__(self, task: "Task[Any]", loop: AbstractEventLoop) -> None:
        self._task, self._loop = task, loop

    def cancel(self) -> None:
        """Cancel the task soon, on its loop."""
        with suppress(RuntimeError):  # the loop has ended, and the task with it
            self._loop.call_soon_threadsafe(self._task.cancel)
