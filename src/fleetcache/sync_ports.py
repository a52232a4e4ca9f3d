"""The world of the sync face: gates block the calling thread, loads run in it, refreshes run in a small pool.

Nothing here suspends, so a coroutine of policy ends in a single step.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Protocol

from .clock import Clock
from .ports import Alarm, FlightPort, LoaderCancelledError, Work
from .sync_pool import RefreshPool
from .wire.monitor import Monitor, SyncGate, answerless

__all__ = ["SyncPorts", "call_alone", "call_plain"]


class Timer(Protocol):
    """Who rings alarms, and judges what is overdue: the link thread's wire."""

    def alarm(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """Call ``ring`` after ``delay`` seconds."""
        ...

    def look_at_clock(self) -> None:
        """Judge now what is overdue."""
        ...

    def wait(self, gate: SyncGate, timeout: float) -> bool:
        """Let the others in until the gate is open or the time is over; whether it is open."""
        ...


class SyncPorts:
    """Waiting and running on threads.

    Args:
        clock: Seconds.
        random: In [0, 1).
        monitor: Held by whoever calls anything here.
        pool: Where refreshes run.
        patience: Seconds a wait without a bound of its own takes at most: one operation timeout.
    """

    def __init__(
        self, clock: Clock, random: Callable[[], float], monitor: Monitor, pool: RefreshPool, patience: float
    ) -> None:
        self.clock, self.random = clock, random
        self._monitor, self._pool, self._patience = monitor, pool, patience
        self.timer: Timer | None = None
        self.closed = False

    def gate(self) -> SyncGate:
        """A new closed gate."""
        return SyncGate()

    async def wait(self, gate: Any, until: float | None) -> Any:
        """Block this thread until the gate is open; ``NO_ANSWER`` at ``until``."""
        left = self._patience if until is None else max(0.0, until - self.clock())
        waiting = self._monitor if self.timer is None else self.timer
        if waiting.wait(gate, left):
            return gate.result()
        if self.timer is not None:
            self.timer.look_at_clock()  # the link thread may have been told of a later time
        return answerless(gate)

    async def load(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Run the loader here, while others go on."""
        with self._monitor.left():
            return call_plain(loader, *args)

    async def fly(self, flight: FlightPort, work: Work, landed: Callable[[], None]) -> None:  # noqa: ARG002 - nobody else can end what runs in this thread
        """Here and now, in this thread and its context."""
        try:
            await work()
        finally:
            landed()

    def background(self, flight: FlightPort, work: Work, landed: Callable[[], None]) -> bool:  # noqa: ARG002 - as in ``fly``
        """In the pool, if it has room."""

        def job() -> None:
            self._monitor.run(work())

        def over() -> None:
            with self._monitor.held():
                landed()

        return not self.closed and self._pool.start(job, over)

    def alarm(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """By the link thread. Without a server there is nothing to be reminded of."""
        return _NEVER if self.timer is None else self.timer.alarm(delay, ring)

    async def close(self, patience: float) -> None:
        """No more refreshes; those that run may end within ``patience`` seconds, what they hold is given back after."""
        self.closed = True
        with self._monitor.left():
            self._pool.close(patience)


def call_plain(loader: Callable[..., Any], *args: Any) -> Any:
    """The loader's result.

    Raises:
        TypeError: It is an awaitable, which no thread can wait for.
    """
    try:
        result = loader(*args)
    except CancelledError as error:  # a future that it waited for was cancelled: that is no answer for others
        raise LoaderCancelledError(error) from None
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
    except LoaderCancelledError as error:
        raise error.original from None


class _Never:
    def cancel(self) -> None:
        """Nothing would happen anyway."""


_NEVER = _Never()
