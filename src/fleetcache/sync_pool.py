"""The small pool in which the sync face refreshes entries while their callers have gone on with the old value.

Bounded: when all its threads are busy there is no refresh, and the next hit on a stale entry tries again.
"""

import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from threading import Condition, Thread
from time import monotonic
from typing import Any

from .telling import TELL, Teller

__all__ = ["Around", "RefreshPool"]

Around = Callable[[], AbstractContextManager[Any]]
"""Makes what a refresh runs within: Django's connections closed before and after, Flask's app context."""

# Refreshes load from the same source as requests do; more at once would take it from them.
MOST_THREADS = 4
# Seconds a thread waits for the next refresh. Threads are cheap to start, so none is kept for long.
IDLE = 10.0


class RefreshPool:
    """Daemon threads, started when needed.

    Args:
        around: Context managers to run each refresh within; the list may grow later.
        most: How many refreshes run at once.
        tell: Writes to the log.
    """

    def __init__(self, around: list[Around], most: int = MOST_THREADS, tell: Teller = TELL) -> None:
        self._around, self._most, self._tell = around, most, tell
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = Condition()
        self._busy = self._idle = 0

    def start(self, job: Callable[[], None], over: Callable[[], None]) -> bool:
        """Run a job under a copy of this thread's context, and ``over`` after it whatever happens.

        Returns:
            ``False`` when there is no room; then neither is called.
        """
        context = copy_context()
        if self._pid != os.getpid():
            self._reset()  # a forked child: the threads are the parent's, and one of them may have held the lock
        with self._changed:
            if self._closed or self._busy >= self._most:
                return False
            self._busy += 1
            self._jobs.append(lambda: context.run(self._do, job, over))
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return True
        try:
            Thread(target=self._work, name="fleetcache-refresh", daemon=True).start()
        except RuntimeError:  # the interpreter is ending, or the system has no more threads
            with self._changed:
                self._jobs.pop()
                self._busy -= 1
            return False
        return True

    def _do(self, job: Callable[[], None], over: Callable[[], None]) -> None:
        try:
            with ExitStack() as stack:
                for around in list(self._around):
                    stack.enter_context(around())
                job()
        except BaseException as error:  # noqa: BLE001 - of what a user's hook does; it is in the log
            text = "a background refresh could not run; the old value stays"
            self._tell(logging.ERROR, "refresh_failed", text, error=error)
        finally:
            over()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            try:
                self._changed.wait_for(lambda: self._jobs or self._closed, IDLE)
                return self._jobs.popleft() if self._jobs else None
            finally:
                self._idle -= 1

    def close(self, patience: float) -> None:
        """Take no more, and wait for those that run."""
        until = monotonic() + patience
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._busy and (left := until - monotonic()) > 0:
                self._changed.wait(left)
