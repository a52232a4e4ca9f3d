"""The monitor: threads take turns in the rules, as tasks do on an event loop.

Policy, coherence, flights, journal and the link are written for a world where nothing happens between two ``await``s.
One lock makes that true for threads: the thread that runs a rule holds it, and releases it only where a port blocks.

1. A thread may be interrupted between any two steps of a rule, by a signal handler or a finalizer that uses the cache.
   Such a call comes *from inside*. It runs no rule and changes nothing, because the state of the rules is half changed.
2. A call from inside notes its changes, and the first thread that leaves the monitor does them. A note never waits.
3. A thread that holds the monitor, or a role that other threads need, waits for no other thread: neither for a lock
   nor for a thread to start.
"""

import logging
from _thread import start_new_thread
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from threading import Lock, RLock, Thread, get_ident
from typing import Any, Protocol, TypeVar

from ...futures import tell_unanswered
from ...log import TELL, Teller

__all__ = ["AwaitOutside", "Monitor", "Note", "ThreadFuture", "begin", "finish"]

T = TypeVar("T")

# Exceptions that no signal handler throws into a rule. Cancellations come from tasks and their loaders.
_NO_SIGNAL = (Exception, CancelledError, GeneratorExit)


def finish(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits only by blocking: the whole event loop of a thread.

    Raises:
        RuntimeError: The coroutine suspended, so it was given a port of an event loop.
    """
    try:
        coro.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise _suspended(coro)


def _suspended(coro: Coroutine[Any, Any, Any]) -> RuntimeError:
    coro.close()
    return RuntimeError(f"{coro!r} suspended: on a thread every port must block")


class AwaitOutside:
    """Awaited by a rule to have a call begun without the monitor, by the task or thread that runs the rule.

    Loaders are called this way, so that the frames of the rules are not below them: loaders that load may nest deeply.
    """

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[], Any]) -> None:
        self.begin = begin

    def __await__(self) -> Generator["AwaitOutside", Any, Any]:
        return (yield self)


def begin(thread: Thread) -> None:
    """Start a thread without waiting until it runs.

    A finalizer may run in the new thread first, and need a lock that the starting thread holds.

    Raises:
        RuntimeError: The interpreter is ending, or the system has no more threads.
    """
    start_new_thread(_begin, (thread,))


def _begin(thread: Thread) -> None:
    try:
        thread.start()
    except RuntimeError:  # the system starts no further thread
        thread.run()


class ThreadFuture:
    """A future that one thread waits on, and that is resolved once.

    Except for its waker, only the thread that holds the monitor touches it.

    Attributes:
        opened: Whether the future has a result.
    """

    __slots__ = ("_notified", "_result", "_waker", "opened")

    def __init__(self) -> None:
        self.opened = self._notified = False
        self._result: Any = None
        self._waker: Any = None

    def done(self) -> bool:
        """Return True if the future has a result: ``opened``, by the name that futures use."""
        return self.opened

    def set_result(self, result: Any, /) -> None:
        """Resolve the future and wake its waiter."""
        self._result, self.opened = result, True
        if self._waker is not None:
            self.notify()

    def result(self) -> Any:
        """Return the result; ``None`` before there is one."""
        return self._result

    def set_waker(self, bell: Any) -> None:
        """Release this waker, instead of the lock that a thread sleeps at, on ``notify``."""
        self._waker, self._notified = bell, False

    def notify(self) -> None:
        """Wake the waiter, at most once for each wait."""
        if self._waker is not None and not self._notified:
            self._notified = True
            self._waker.release()

    def wait(self, monitor: "Monitor", seconds: float) -> None:
        """Release the monitor and sleep until ``notify``, or for ``seconds``."""
        if self._waker is None:
            self._waker = Lock()
            self._waker.acquire()
        with monitor.released():
            rang = self._waker.acquire(True, seconds)
        if not rang and self._notified:  # the notification came just after the timeout
            self._waker.acquire()
        self._notified = False


class Note(Protocol):
    """A change that a call from inside has put off. The note stays in the monitor's list until the change is done."""

    def do(self) -> None:
        """Make the change, under the monitor and without waiting. A second call does no harm."""
        ...


class Monitor:
    """The lock of the rules, and the ways to acquire and to release it.

    No thread holds it while it blocks, calls the system or runs a loader, so a thread waits for it only as long as
    other threads compute.

    Attributes:
        suspends: Whether the running rule belongs to a task. It then suspends where the rule of a thread blocks.
        on_release: Called whenever a thread has released the monitor. It sends the calls that the rules queued.
        on_interrupted: Called when a rule was broken off in the middle.
        on_noted: Called when a note was added.
        amid: Threads in a turn, including those that released the monitor to wait.
        within: Threads in a call from inside.
        said: Log records that are not written yet.
        notes: The changes that calls from inside have put off, in their order.
        ends: Jobs for a thread that is out of all rules, each done once. A job may wait.
    """

    def __init__(self, tell: Teller = TELL) -> None:
        self._lock: Any = RLock()
        self.tell = tell
        self.suspends = False
        self.on_release: Callable[[], None] = lambda: None
        self.on_interrupted: Callable[[], None] = lambda: None
        self.on_noted: Callable[[], None] = self._do_now
        self.amid: set[int] = set()
        self.notes: deque[Note] = deque()
        self.said: deque[Callable[[], None]] = deque()
        self.ends: deque[Callable[[], None]] = deque()
        self.within: set[int] = set()
        self._outside: BaseException | None = None

    # -- calls from inside -------------------------------------------------------------------------------------------

    def is_within(self) -> bool:
        """Return True if this thread is in a call from inside."""
        return bool(self.within) and get_ident() in self.within

    def _run_within(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that checks ``is_within``, and therefore changes nothing and waits for nothing."""
        me, outermost = get_ident(), not self.is_within()
        try:
            self.within.add(me)
            return finish(coro)
        finally:
            if outermost:
                self.within.discard(me)

    def note(self, note: Note) -> None:
        """Add a note, to be done as soon as a thread leaves the monitor."""
        self.notes.append(note)
        self.on_noted()

    def _do_now(self) -> None:
        """Do the notes in this thread, if it has released the monitor: without a server there is no link thread."""
        if not self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            self.leave()

    def leave(self) -> None:
        """Send the calls that the rules queued and do the notes, in a thread that has left the monitor."""
        self.on_release()
        if self.notes or self.said:
            self._tidy()

    def _tidy(self) -> None:
        while self.notes:
            with self._lock:
                self._do_first()
            self.on_release()
        while self.said:
            try:
                write = self.said.popleft()
            except IndexError:  # another thread was faster
                return
            write()

    def _do_first(self) -> None:
        try:
            note = self.notes[0]
        except IndexError:  # as below
            return
        try:
            note.do()
        except Exception as error:  # noqa: BLE001 - a defect of the cache, unknown to the caller
            text = "defect: a call from a signal handler or a finalizer failed (%s); please report it"
            self.tell(logging.ERROR, "defect", text, type(error).__name__, error=error)
        self.notes.popleft()

    def say(self, write: Callable[[], None]) -> bool:
        """Have this record written when the monitor is left, because log handlers have locks.

        Returns:
            ``False`` in a thread that does not hold the monitor, and the record is not taken.
        """
        if not self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            return False
        self.said.append(write)
        return True

    def end(self, *, elsewhere: bool) -> None:
        """Do the jobs that may wait, in a thread that is out of all rules; ``elsewhere``: each in a new thread."""
        while self.ends:
            try:
                job = self.ends.popleft()
            except IndexError:  # as above
                return
            if elsewhere:
                begin(Thread(target=job, name="fleetcache-end", daemon=True))
            else:
                job()

    # -- turns -------------------------------------------------------------------------------------------------------

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the rules and send the calls that it queued. Its outside calls run between its turns.

        Raises:
            RuntimeError: The coroutine suspended for anything but an ``AwaitOutside``.
        """
        me = get_ident()
        if me in self.amid:
            return self._run_within(coro)
        if self.within:
            self.within.discard(me)  # an interrupt kept ``_run_within`` from doing so
        rule: Any = coro
        move, given = rule.send, None
        while True:
            try:
                asked, over = self._turn(me, move, given, suspends=False)
                if over:
                    result: T = asked
                    return result
                if type(asked) is not AwaitOutside:
                    raise _suspended(coro)  # noqa: TRY301 - ends as every error of the rules does
                move, given = rule.send, asked.begin()
            except BaseException as error:
                # While the rule is suspended, an exception here comes from outside: from the loader, or from a signal.
                if not rule.cr_suspended:
                    given = None  # this frame is in the error's traceback
                    raise
                move, given = rule.throw, error

    def step(self, move: Callable[[Any], Any], given: Any) -> tuple[Any, bool]:
        """Run a coroutine of the rules until it suspends or ends.

        Args:
            move: The coroutine's ``send`` or ``throw``.
            given: The answer to its last ``AwaitOutside``, or the exception that this call raised.

        Returns:
            The next ``AwaitOutside`` and ``False``, or the coroutine's result and ``True``.
        """
        try:
            return self._turn(get_ident(), move, given, suspends=True)
        finally:
            del given  # as in ``_turn``

    def _turn(self, me: int, move: Callable[[Any], Any], given: Any, *, suspends: bool) -> tuple[Any, bool]:
        try:
            self.amid.add(me)
            with self._lock:
                before, self.suspends = self.suspends, suspends
                try:
                    return move(given), False
                except StopIteration as done:  # no rule raises ``StopIteration``
                    return done.value, True
                except BaseException as error:
                    self._own()
                    # An exception that a signal threw into the middle of a rule may have left it half done.
                    if not isinstance(error, _NO_SIGNAL) and error is not self._outside and error is not given:
                        self.on_interrupted()
                    raise
                finally:
                    if not self._lock._is_owned():  # noqa: SLF001 - as in ``_own``, which each shared hit would call
                        self._own()
                    self.suspends = before
                    self._outside = given = None  # this frame is in the traceback of an exception that was given
        finally:
            try:
                self.on_release()  # ``leave`` without the call, as in ``_Left``: each shared hit runs this twice
                if self.notes or self.said:
                    self._tidy()
            finally:
                self.amid.discard(me)
            if self.ends:
                self.end(elsewhere=suspends)

    def _own(self) -> None:
        """Acquire the monitor again, if a signal kept this thread from doing so on its way back."""
        if not self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            self._lock.acquire()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the monitor for a rule that waits for nothing."""
        me = get_ident()
        try:
            self.amid.add(me)
            with self._lock:
                yield
        finally:
            try:
                self.leave()
            finally:
                self.amid.discard(me)

    def released(self) -> "_Left":
        """Release the monitor, while this thread blocks or runs foreign code."""
        return _Left(self)

    def wait(self, future: ThreadFuture, timeout: float) -> bool:
        """Release the monitor until the future has a result or ``timeout`` seconds have passed.

        Returns:
            Whether the future has a result.
        """
        if not future.opened:
            future.wait(self, timeout)
        return future.opened


class _Left:
    """The time between releasing the monitor and acquiring it again."""

    __slots__ = ("_depth", "_monitor")

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._depth: Any = None

    def __enter__(self) -> None:
        monitor = self._monitor
        try:
            self._depth = monitor._lock._release_save()  # noqa: SLF001 - as threading.Condition does
            monitor.on_release()
            if monitor.notes or monitor.said:
                monitor._tidy()  # noqa: SLF001 - two halves of one concept
        except BaseException as error:
            self.__exit__(None, error, None)
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        monitor, lock = self._monitor, self._monitor._lock  # noqa: SLF001 - two halves of one concept
        # A signal may have come after the release and before its result was kept.
        if not lock._is_owned():  # noqa: SLF001 - as above
            lock._acquire_restore(self._depth or (1, get_ident()))  # noqa: SLF001 - as above
        monitor._outside = error  # noqa: SLF001 - as above


def answerless(future: ThreadFuture) -> Any:
    """Return the result of a future whose time has run out: ``NO_ANSWER``, unless the result has just come."""
    tell_unanswered(future)
    return future.result()
