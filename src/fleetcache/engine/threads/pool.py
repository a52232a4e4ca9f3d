"""The small pool in which the sync face refreshes entries while their callers have gone on with the old value.

Bounded: when all its threads are busy there is no refresh, and the next hit on a stale entry tries again.
"""

import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import Any

from ...log import TELL, Teller
from .monitor import begin

__all__ = ["Around", "RefreshPool"]

Around = Callable[[], AbstractContextManager[Any]]
"""Makes the context that a refresh runs within: Django's connections closed before and after, Flask's app context."""

# Refreshes load from the same source as requests do; more threads would take the source from the requests.
MAX_THREADS = 4
# Seconds that a thread waits for the next refresh. Threads are cheap to start, so none is kept for long.
IDLE = 10.0


class RefreshPool:
    """Daemon threads, started when needed.

    The pool has no lock, because a finalizer may use the cache while its thread is in a method of the pool.

    Args:
        around: Make the context managers to run each refresh within; the list may grow later.
        most: The number of refreshes that run at once.
        tell: Writes to the log.
    """

    def __init__(self, around: list[Around], most: int = MAX_THREADS, tell: Teller = TELL) -> None:
        self._around, self._most, self._tell = around, most, tell
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._places: dict[int, _Worker] = {}
        self._idle: deque[_Worker] = deque()

    def start(self, job: Callable[[], None], over: Callable[[], None]) -> bool:
        """Run a job in the pool under a copy of this thread's context, and ``over`` after it in any case.

        Returns:
            ``False`` when there is no room, or the pool is closed. Then neither is called.
        """
        context = copy_context()
        if self._pid != os.getpid():
            self._reset()  # in a forked child, because the threads exist only in the parent
        if self._closed:
            return False

        def work() -> None:
            context.run(self._do, job, over)

        try:
            self._idle.pop().jobs.put(work)
        except IndexError:
            return self._hire(work)
        return True

    def _hire(self, work: Callable[[], None]) -> bool:
        """Start a new thread for the work, if there is room for one; return whether there is."""
        worker = _Worker()
        place = next((n for n in range(self._most) if self._places.setdefault(n, worker) is worker), None)
        if place is None:
            return False
        worker.jobs.put(work)
        worker.thread = Thread(target=self._work, args=(place, worker), name="fleetcache-refresh", daemon=True)
        try:
            begin(worker.thread)
        except RuntimeError:  # the interpreter is ending, or the system has no more threads
            del self._places[place]
            return False
        return True

    def _do(self, job: Callable[[], None], over: Callable[[], None]) -> None:
        try:
            with ExitStack() as stack:
                for around in list(self._around):
                    stack.enter_context(around())
                job()
        except BaseException as error:  # noqa: BLE001 - a user's hook may raise anything; it is in the log
            text = "refresh failed: it could not run (%s); the old value stays"
            self._tell(logging.ERROR, "refresh_failed", text, type(error).__name__, error=error)
        finally:
            over()

    def _work(self, place: int, worker: "_Worker") -> None:
        try:
            while (work := self._next(worker)) is not None:
                work()
                del work  # so that the objects it refers to are free while the thread waits for the next job
                self._idle.append(worker)
        finally:
            del self._places[place]

    def _next(self, worker: "_Worker") -> Callable[[], None] | None:
        while not self._closed or not worker.jobs.empty():
            try:
                return worker.jobs.get(timeout=IDLE)
            except Empty:
                try:
                    self._idle.remove(worker)
                except ValueError:
                    continue  # another thread has just taken the worker: a job is coming
                break
        return None

    def close(self, patience: float) -> None:
        """Take no more jobs, and wait ``patience`` seconds at most for the running ones."""
        until = monotonic() + patience
        self._closed = True
        workers = list(self._places.values())
        for worker in workers:
            worker.jobs.put(None)
        for worker in workers:
            if worker.thread is not None and worker.thread.is_alive() and worker.thread is not current_thread():
                worker.thread.join(max(0.0, until - monotonic()))


class _Worker:
    """One thread and its queue of jobs."""

    __slots__ = ("jobs", "thread")

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread: Thread | None = None
