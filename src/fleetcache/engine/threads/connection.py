"""The thread shell of the wire: one non-blocking socket, one link thread. It decides nothing.

``leader_follower`` lets waiting callers write and read for themselves. The link thread sends the bytes that the socket
does not take at once, reads when no caller waits, rings alarms, connects and closes. All code here runs under the
monitor, except for the system calls that block.
"""

import heapq
import logging
import select
import socket
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from threading import Thread, current_thread
from typing import Any, Self

from ...config.url import CredentialProvider
from ...futures import Future
from ...wire.connection import Connection, Deadline
from ...wire.link_state import LinkState
from ...wire.session import AnyCall
from .dialing import dial_blocking
from .leader_follower import LONG_READ, LeaderFollowerSocket, read
from .monitor import Monitor, ThreadFuture, begin
from .tls import Tls
from .uwsgi import warn_of_uwsgi

__all__ = ["ThreadConnection"]

# Seconds after a caller has read for itself that the link thread leaves the socket to callers: this spares the link
# thread a wake-up for every reply. A push in such a pause waits at most this long, which is short compared with any
# max_staleness.
READ_BY_OTHERS = 0.001
# Seconds that close() waits for the link thread to end. The thread is a daemon: the interpreter does not wait for it.
CLOSE_TIMEOUT = 1.0


class _Alarm:
    """A timer of the link thread."""

    __slots__ = ("ring", "when")

    def __init__(self, when: float, ring: Callable[[], None]) -> None:
        self.when = when
        self.ring: Callable[[], None] | None = ring

    def __lt__(self, other: "_Alarm") -> bool:
        return self.when < other.when

    def cancel(self) -> None:
        """Cancel the timer."""
        self.ring = None


class _Bound(AbstractAsyncContextManager["Deadline"]):
    """A deadline for the waits of the link thread."""

    def __init__(self, wire: "ThreadConnection", seconds: float) -> None:
        self._wire, self._seconds = wire, seconds

    def extend(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` from now."""
        self._wire.bound(seconds)

    async def __aenter__(self) -> Self:
        self._wire.bound(self._seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wire.bound(float("inf"))


class ThreadConnection(Connection):
    """One connection with a link thread; further arguments as for ``Connection``.

    Args:
        monitor: Held by the calling thread, except where a method says otherwise.

    Attributes:
        socket: The side of the connection that its callers use.
    """

    future = ThreadFuture

    def __init__(self, *args: Any, monitor: Monitor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._monitor = monitor
        self.socket = LeaderFollowerSocket(self, monitor, self._clock, self._wake)
        self._out = self.socket.out
        self._alarms: list[_Alarm] = []
        self._life: Callable[[], Coroutine[Any, Any, None]]  # the caller of ``start`` passes it
        self._until = float("inf")
        self._sleeps_until = -float("inf")  # when the link thread wakes up; minus infinity while it is awake
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._wake_reader_number = self._wake_reader.fileno()
        self._poll = self._new_poll(None)
        self._thread = Thread(target=self._main, name="fleetcache-link", daemon=True)

    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:  # noqa: ARG002 - it is written when the monitor is left, which is as soon
        """Queue a call. The calls that a thread queues before it releases the monitor are written together."""
        now = self._clock()
        try:
            self._out.append(call.payload)
            self.session.add(call, now)
        except BaseException:
            self.fail("interrupted", "a call was interrupted while it was queued")
            raise
        due = now + self._limits.operation_timeout
        if due < self._wake_at:
            self._arm(due)

    def noted(self) -> None:
        """Wake the link thread, so that it does a new note if no other thread leaves the monitor before."""
        self._wake()

    # -- time --------------------------------------------------------------------------------------------------------

    def alarm(self, delay: float, ring: Callable[[], None]) -> _Alarm:
        """Call ``ring`` after ``delay`` seconds, in the link thread and under the monitor."""
        alarm = _Alarm(self._clock() + delay, ring)
        heapq.heappush(self._alarms, alarm)
        self._be_up_by(alarm.when)
        return alarm

    def look_at_clock(self) -> None:
        """Judge the overdue calls now, in any thread."""
        if self.link.connected:
            self._tick()

    def _arm(self, when: float) -> None:
        self._wake_at = when
        self._be_up_by(when)

    def _disarm(self) -> None:
        self._wake_at = float("inf")

    def _be_up_by(self, when: float) -> None:
        if when < self._sleeps_until:
            self._wake()

    def _wake(self) -> None:
        """Wake the link thread, if it sleeps and no other thread has woken it yet."""
        if self._sleeps_until > -float("inf"):
            self._sleeps_until = -float("inf")
            with suppress(OSError):
                self._wake_writer.send(b"!")

    def bound(self, seconds: float) -> None:
        """Raise ``TimeoutError`` in a wait of the link thread that lasts longer than ``seconds`` from now."""
        self._until = self._clock() + seconds

    def within(self, seconds: float) -> AbstractAsyncContextManager[Deadline]:
        """Return a deadline for the turns."""
        return _Bound(self, seconds)

    def _new_poll(self, sock: socket.socket | None) -> "select.poll":
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        if sock is not None:
            poll.register(sock, select.POLLIN)
        self._polled = select.POLLIN
        return poll

    def _has_bytes(self) -> bool:
        return self.socket.has_bytes()

    # -- the link thread ---------------------------------------------------------------------------------------------

    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine in the link thread."""
        self._life = run
        warn_of_uwsgi(self._hooks.tell)
        try:
            begin(self._thread)
        except RuntimeError:
            self._close_wake_pair()
            raise

    def _main(self) -> None:
        try:
            self._monitor.run(self._life())
        except Exception as error:  # noqa: BLE001 - a defect of the cache; it is in the log
            text = "defect: the link thread ended (%s); this instance stays offline"
            self._hooks.tell(logging.ERROR, "defect", text, type(error).__name__, error=error)
        finally:
            self._close_wake_pair()

    def _turn(self, until: float = float("inf")) -> None:
        """Sleep until bytes arrive, a timer is due, another thread wakes this one, or ``until``; handle the event."""
        wake = min(until, self._until, self._wake_at, self._alarms[0].when if self._alarms else float("inf"))
        self._sleeps_until = wake  # from here on ``_wake`` has an effect
        if self.over is not None and self.socket.sock is not None:
            return
        size = self._sleep(max(0.0, wake - self._clock()))
        self._sleeps_until = -float("inf")
        if size is not None:
            try:
                if self.over is None:
                    self.socket.take(size)
            finally:
                self.socket.reading.release(self)
            if self.session.calls:
                self.socket.promote_follower()
        if self.over is None and self.socket.rest is not None:
            self.socket.write_on()
        now = self._clock()
        while self._alarms and self._alarms[0].when <= now:
            ring = heapq.heappop(self._alarms).ring
            if ring is not None:
                ring()
        if now >= self._wake_at:
            self._tick()
        if now >= self._until:
            raise TimeoutError("no answer")

    def _sleep(self, seconds: float) -> int | OSError | None:
        """Wait and read, without the monitor.

        Returns:
            The number of bytes, an error, or ``None`` when there were no bytes to read.
        """
        sock, poll = self.socket.sock, self._poll
        now, led = self._clock(), self.socket.reading.taken
        left_to_others = led or now - self.socket.last_leader_read < READ_BY_OTHERS
        if left_to_others and not (led and now - self.socket.led_since > LONG_READ):
            seconds = min(seconds, READ_BY_OTHERS)
        with self._monitor.released():  # this sends the queued calls
            if self._monitor.ends:
                self._monitor.end(elsewhere=True)
            if sock is not None:
                wanted = (0 if left_to_others else select.POLLIN) | (0 if self.socket.rest is None else select.POLLOUT)
                if wanted != self._polled:
                    poll.modify(sock, wanted)
                    self._polled = wanted
            ready = poll.poll(None if seconds == float("inf") else seconds * 1000)
            events = 0
            for descriptor, what in ready:
                if descriptor == self._wake_reader_number:
                    with suppress(OSError):
                        self._wake_reader.recv(64)
                else:
                    events = what
            if sock is None or not events & ~select.POLLOUT:
                return None
            if not self.socket.reading.try_acquire(self):
                return None  # a waiting caller reads
            size = read(sock, self.socket.buffer)
        if size is None:
            self.socket.reading.release(self)
        return size

    async def until_over(self) -> None:
        """Serve the connection until it has ended."""
        while self.over is None:
            self._turn()

    async def reply(self, future: Future) -> Any:
        """Serve the connection until it has ended or the future has a result."""
        while not future.done() and self.over is None:
            self._turn()
        return future.result() if isinstance(future, ThreadFuture) and future.opened else None

    async def pause(self, seconds: float) -> None:
        """Serve for ``seconds``."""
        until = self._clock() + seconds
        while self._clock() < until and self.link.state is not LinkState.CLOSED:
            self._turn(until)

    # -- the connection's life -----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open a connection."""
        with self._monitor.released():
            sock, tls = self._dial()
            self.socket.open(sock, tls)
        self._poll = self._new_poll(sock)

    def _dial(self) -> tuple[socket.socket, Tls | None]:
        address = self.address
        context = address.ssl_context() if address.path is None else None
        if address.path is not None:
            sock = socket.socket(socket.AF_UNIX)
        else:
            sock = dial_blocking(address.host, address.port, self._until, self._clock)
        try:
            sock.settimeout(max(0.001, self._until - self._clock()))
            if address.path is not None:
                sock.connect(address.path)
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = None if context is None else Tls(context, address.host)
            if tls is not None:
                self.shaking = True
                tls.shake(sock)
                self.shaking = False
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock, tls

    async def provided(self, provider: CredentialProvider) -> tuple[str, ...]:
        """Ask the provider for user and password, without the monitor."""
        with self._monitor.released():
            return tuple(provider.get_credentials())

    def fail(self, reason: str, detail: str) -> None:
        """Have the link thread give the connection up.

        If another thread closed the socket while the link thread polls, its descriptor could become that of a new file.
        """
        if self.over is None:
            self.last_error = self.without_secrets(detail)
            self.over = reason
        self._tell_over()

    def _tell_over(self) -> None:
        self._wake()

    def _abort(self) -> None:
        self.over = self.over or "dropped"
        self.socket.close()
        self._poll = self._new_poll(None)

    async def close(self) -> None:
        """End the connection and the thread."""
        self.link.close(self._clock())
        self.over = self.over or "closed"
        self._wake()
        if self._thread.is_alive() and current_thread() is not self._thread:
            with self._monitor.released():
                self._thread.join(CLOSE_TIMEOUT)

    def _close_wake_pair(self) -> None:
        for sock in (self._wake_reader, self._wake_writer):
            sock.close()

    def abandon(self, *, reset: bool) -> list[Any]:  # noqa: ARG002 - threads have no loop that could be gone
        """Close this process's copies of the descriptors in a forked child, without a lock and without sending."""
        self.socket.abandon()
        self._close_wake_pair()
        return []
