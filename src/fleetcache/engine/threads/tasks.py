"""Tasks among threads: the rules of a cache for threads, run for a task of any event loop without blocking it.

A task runs a rule under the monitor from one wait to the next, as a thread does, and leaves both the monitor and its
loop to others while it waits. Nothing here belongs to one loop, so any number may be used, short-lived ones too.
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
    """Run a coroutine of the rules to its end, in this task."""
    move: Callable[[Any], Any] = coro.send
    given: Any = None
    while True:
        asked, over = monitor.step(move, given)
        if over:
            result: T = asked
            return result
        try:
            move, given = coro.send, await asked.begin()
        except BaseException as error:  # noqa: BLE001 - the rules decide, also about a cancellation
            move, given = coro.throw, error


async def heard(future: ThreadFuture, seconds: float) -> None:
    """In a rule: let the others in until the gate is open, or for so long."""
    bell = _Bell()
    future.set_waker(bell)
    await AwaitOutside(partial(bell.listen, seconds))


class _Bell:
    """Rung in any thread, heard by one task."""

    __slots__ = ("_loop", "_rung")

    def __init__(self) -> None:
        self._loop = get_running_loop()
        self._rung = self._loop.create_future()

    def release(self) -> None:
        """Ring: what a gate does with the lock that a thread sleeps at."""
        with suppress(RuntimeError):  # the loop has ended, and whoever listened
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
        """Soon, on its loop."""
        with suppress(RuntimeError):  # the loop has ended, and the task with it
            self._loop.call_soon_threadsafe(self._task.cancel)
