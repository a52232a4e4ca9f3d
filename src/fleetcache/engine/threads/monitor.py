"""The monitor: threads take turns in the rules, as tasks do on an event loop.

Policy, coherence, flights, journal and the link are written for a world where nothing happens between two ``await``s.
One lock makes that true for threads: who runs a rule holds it, and lets the others in only where a port blocks.

1. A thread may be interrupted between any two steps of a rule, by a signal handler or a finalizer that uses the cache.
   Such a call comes *from inside*. It runs no rule and changes nothing, for what the rules work on is half done.
2. What it would have changed is noted, and done by the first thread that leaves the monitor. A note waits for nothing.
3. Who holds the monitor, or what others need, waits for no other thread: neither for a lock nor for one to start.
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

# What no signal throws into a rule; cancellations are those of tasks and their loaders.
_NO_SIGNAL = (Exception, CancelledError, GeneratorExit)


def finish(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits only by blocking: the whole event loop of a thread.

    Raises:
        RuntimeError: It suspended, so somebody handed it a port of another world.
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
    """What a rule awaits that is to be begun without the monitor, by whoever runs the rule: a task, or a thread.

    A loader is called there, so that the frames of the rules are not below it: loaders that load may nest deeply.
    """

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[], Any]) -> None:
        self.begin = begin

    def __await__(self) -> Generator["AwaitOutside", Any, Any]:
        return (yield self)


def begin(thread: Thread) -> None:
    """Start a thread without waiting until it runs: a finalizer there may want before what its starter holds.

    Raises:
        RuntimeError: The interpreter is ending, or the system has no more threads.
    """
    start_new_thread(_begin, (thread,))


def _begin(thread: Thread) -> None:
    try:
        thread.start()
    except RuntimeError:  # no more threads but this one
        thread.run()


class ThreadFuture:
    """What one thread waits on, opened once. Touched only by who holds the monitor, but for the bell.

    Attributes:
        opened: Whether it is open.
    """

    __slots__ = ("_notified", "_result", "_waker", "opened")

    def __init__(self) -> None:
        self.opened = self._notified = False
        self._result: Any = None
        self._waker: Any = None

    def done(self) -> bool:
        """Whether it is open, as a future says it."""
        return self.opened

    def set_result(self, result: Any, /) -> None:
        """Open it."""
        self._result, self.opened = result, True
        if self._waker is not None:
            self.notify()

    def result(self) -> Any:
        """What it was opened with."""
        return self._result

    def set_waker(self, bell: Any) -> None:
        """Have this bell released instead of the lock that a thread sleeps at."""
        self._waker, self._notified = bell, False

    def notify(self) -> None:
        """Wake who sleeps at it."""
        if self._waker is not None and not self._notified:
            self._notified = True
            self._waker.release()

    def wait(self, monitor: "Monitor", seconds: float) -> None:
        """Let the others in until it rings, or for so long."""
        if self._waker is None:
            self._waker = Lock()
            self._waker.acquire()
        with monitor.released():
            rang = self._waker.acquire(True, seconds)
        if not rang and self._notified:  # it rang just now
            self._waker.acquire()
        self._notified = False


class Note(Protocol):
    """What a call from inside would have done. It stays in the monitor's list until it is done."""

    def do(self) -> None:
        """Do it, under the monitor and without waiting; twice does no harm."""
        ...


class Monitor:
    """The lock, and the way in and out of it.

    It is never held while a thread blocks or calls the system, nor while a loader runs, so nobody waits for it longer
    than others compute.

    Attributes:
        suspends: Whether the rule that runs now is a task's, which suspends where a thread's blocks.
        on_left: Called whenever it was left: what the rules wrote goes out.
        on_torn: Called when a rule was broken off in the middle.
        on_noted: Called when something was noted.
        amid: Threads in a turn, those too that let the others in while they wait.
        within: Threads in a call from inside.
        said: Records of the log that are not written yet.
        notes: What calls from inside would have done, in their order.
        ends: What a thread that is out of all rules does once. It may wait.
    """

    def __init__(self, tell: Teller = TELL) -> None:
        self._lock: Any = RLock()
        self.tell = tell
        self.suspends = False
        self.on_release: Callable[[], None] = _nothing
        self.on_interrupted: Callable[[], None] = _nothing
        self.on_noted: Callable[[], None] = self._do_now
        self.amid: set[int] = set()
        self.notes: deque[Note] = deque()
        self.said: deque[Callable[[], None]] = deque()
        self.ends: deque[Callable[[], None]] = deque()
        self.within: set[int] = set()
        self._outside: BaseException | None = None

    # -- calls from inside -------------------------------------------------------------------------------------------

    def is_within(self) -> bool:
        """Whether what runs now in this thread is a call from inside."""
        return bool(self.within) and get_ident() in self.within

    def _run_within(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that asks whether it ``is_within``, and then changes nothing and waits for nothing."""
        me, outermost = get_ident(), not self.is_within()
        try:
            self.within.add(me)
            return finish(coro)
        finally:
            if outermost:
                self.within.discard(me)

    def note(self, note: Note) -> None:
        """Have it done as soon as a thread leaves the monitor."""
        self.notes.append(note)
        self.on_noted()

    def _do_now(self) -> None:
        """Where no thread of ours can be told: this one does it, should it have let the others in."""
        if not self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            self.leave()

    def leave(self) -> None:
        """This thread has left the monitor: what the rules wrote goes out, and what was noted is done."""
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
        except Exception as error:  # noqa: BLE001 - a defect of ours, of which the caller knows nothing
            text = "a call from a signal handler or a finalizer failed by a defect of ours"
            self.tell(logging.ERROR, "defect", text, error=error)
        self.notes.popleft()

    def say(self, write: Callable[[], None]) -> bool:
        """Have this record written when the monitor is left: handlers of logs have locks. Not taken from outside."""
        if not self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            return False
        self.said.append(write)
        return True

    def end(self, *, elsewhere: bool) -> None:
        """Do what may wait, this thread being out of all rules; ``elsewhere``: in a thread of its own."""
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
        """Run a coroutine of the rules, and what it wrote goes out; what it asks for outside is done between its turns.

        Raises:
            RuntimeError: It suspended for something else.
        """
        me = get_ident()
        if me in self.amid:
            return self._run_within(coro)
        if self.within:
            self.within.discard(me)  # an interrupt came before that was done
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
                # While it is suspended, whatever is raised here comes from outside, a signal's exception too.
                if not rule.cr_suspended:
                    raise
                move, given = rule.throw, error

    def step(self, move: Callable[[Any], Any], given: Any) -> tuple[Any, bool]:
        """Run a coroutine of the rules until it suspends: what it asks for; or its result, and that it is over.

        Args:
            move: Its ``send`` or ``throw``.
            given: What comes from where it was suspended.
        """
        return self._turn(get_ident(), move, given, suspends=True)

    def _turn(self, me: int, move: Callable[[Any], Any], given: Any, *, suspends: bool) -> tuple[Any, bool]:
        try:
            self.amid.add(me)
            with self._lock:
                before, self.suspends = self.suspends, suspends
                try:
                    return move(given), False
                except StopIteration as done:  # no rule raises one
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
                    self._outside = None
        finally:
            try:
                self.on_release()  # ``leave`` without the call, as ``_Left`` has it too: each shared hit comes by twice
                if self.notes or self.said:
                    self._tidy()
            finally:
                self.amid.discard(me)
            if self.ends:
                self.end(elsewhere=suspends)

    def _own(self) -> None:
        """Be in again, though a signal came when this thread was about to come back."""
        if not self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            self._lock.acquire()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Run a rule that waits for nothing."""
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
        """Let the others in, while this thread runs what is not ours or blocks."""
        return _Left(self)

    def wait(self, future: ThreadFuture, timeout: float) -> bool:
        """Let the others in until the gate is open or ``timeout`` seconds have passed; whether it is open."""
        if not future.opened:
            future.wait(self, timeout)
        return future.opened


class _Left:
    """The time between leaving the monitor and coming back."""

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
    """What a gate says whose time is over."""
    tell_unanswered(future)
    return future.result()


def _nothing() -> None:
    pass
