"""The thread shell of the wire: one non-blocking socket, one link thread. It decides nothing.

Callers write for themselves, what the socket does not take at once goes to the link thread, which alone reads, rings
alarms, connects and closes. Everything here runs under the monitor, but for the moments that block.
"""

import heapq
import logging
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from threading import Lock, Thread, current_thread
from typing import Any, Self

from .address import CredentialProvider
from .dialing_threads import dial_blocking
from .keeper import Deadline, Keeper
from .link import LinkState
from .monitor import Monitor, SyncGate
from .session import Call, Gate
from .tls import Tls

__all__ = ["ThreadWire"]

log = logging.getLogger("fleetcache")

READ_SIZE = 256 * 1024
# Seconds after a caller has read for itself that the link thread leaves the socket to callers: it is spared a wake-up
# for every reply. A push that comes in such a pause waits so long at most, little beside any max_staleness.
READ_BY_OTHERS = 0.001
# Seconds that close() waits for the link thread to end. It is a daemon: nothing waits for it longer.
FAREWELL = 1.0


class _Alarm:
    """Something that the link thread does at its time."""

    __slots__ = ("ring", "when")

    def __init__(self, when: float, ring: Callable[[], None]) -> None:
        self.when = when
        self.ring: Callable[[], None] | None = ring

    def __lt__(self, other: "_Alarm") -> bool:
        return self.when < other.when

    def cancel(self) -> None:
        """Do not."""
        self.ring = None


class _Bound(AbstractAsyncContextManager["Deadline"]):
    """A bound on what the link thread waits for."""

    def __init__(self, wire: "ThreadWire", seconds: float) -> None:
        self._wire, self._seconds = wire, seconds

    def extend(self, seconds: float) -> None:
        """So long from now."""
        self._wire.bound(seconds)

    async def __aenter__(self) -> Self:
        self._wire.bound(self._seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wire.bound(float("inf"))


class ThreadWire(Keeper):
    """One connection that is kept alive by a thread; further arguments as for ``Keeper``.

    Args:
        monitor: Held by whoever calls anything here.
    """

    def __init__(self, *args: Any, monitor: Monitor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._monitor = monitor
        self._sock: socket.socket | None = None
        self._tls: Tls | None = None
        self._out: deque[bytes] = deque()
        self._sending = Lock()  # never waited for but by the link thread: whoever has it sends for all
        self._rest: memoryview | None = None  # what the socket did not take; only the link thread sends meanwhile
        self._reading = Lock()  # as ``_sending``: whoever has it reads for all
        self._readers_poll = select.poll()
        self._followers: dict[SyncGate, None] = {}  # who waits for replies while another reads
        self._led_at = -float("inf")
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._alarms: list[_Alarm] = []
        self._until = float("inf")
        self._sleeps_until = -float("inf")  # of the link thread; never, while it is awake
        self._bell, self._knocker = socket.socketpair()
        self._bell.setblocking(False)
        self._knocker.setblocking(False)
        self._bell_number = self._bell.fileno()
        self._poll = self._new_poll(None)
        self._thread = Thread(target=self._main, name="fleetcache-link", daemon=True)

    # -- calls -------------------------------------------------------------------------------------------------------

    def submit(self, call: Call, *, at_once: bool = False) -> None:  # noqa: ARG002 - it is written when the monitor is left, which is as soon
        """Queue a call; what a thread queues before it lets others in is written together."""
        now = self._clock()
        try:
            self._out.append(call.payload)
            self._session.add(call, now)
        except BaseException:
            self.fail("interrupted", "a call was interrupted while it was queued")
            raise
        due = now + self._limits.operation_timeout
        if due < self._wake_at:
            self._arm(due)

    def flush(self) -> None:
        """Write what was queued, as far as the socket takes it at once; called without the monitor.

        A system call lets other threads run: if they found the monitor taken, each call would cost two more switches
        between threads. So one of them sends, and what the others queue meanwhile goes with its next write.
        """
        while self._out and self._rest is None and self._sending.acquire(blocking=False):
            try:
                self._write()
            finally:
                self._sending.release()

    def _write(self) -> None:
        """Send all that is queued, in its order; whoever calls this has ``_sending``."""
        sock, out, parts = self._sock, self._out, []
        while out:
            parts.append(out.popleft())
        if sock is None or self._over is not None:
            return
        try:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            if self._tls is not None:
                data = self._tls.encrypt(data)
            self._send(sock, memoryview(data))
        except OSError as error:
            self.fail("reset", repr(error))
        except BaseException:
            # Nobody knows how much of it is on its way: what follows would be read as the rest of it.
            self.fail("interrupted", "a call was interrupted while it was written")
            raise

    def _send(self, sock: socket.socket, data: memoryview) -> None:
        try:
            sent = sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        left = data[sent:]
        if left:
            self._rest = left
            self._knock()
        else:
            self._rest = None

    def _write_on(self) -> None:
        """In the link thread, when the socket takes more."""
        with self._sending:
            sock, rest = self._sock, self._rest
            if sock is not None and rest is not None:
                try:
                    self._send(sock, rest)
                except OSError as error:
                    self.fail("reset", repr(error))

    # -- waiting -----------------------------------------------------------------------------------------------------

    def wait(self, gate: SyncGate, timeout: float) -> bool:
        """Let the others in until the gate is open or ``timeout`` seconds have passed; whether it is open.

        Of those who wait for replies one reads, for all: to be woken by the link thread would cost two switches
        between threads. When it has what it waited for, the next one does.
        """
        until = self._clock() + timeout
        while not gate.done() and (left := until - self._clock()) > 0:
            if self._is_readable and self._reading.acquire(blocking=False):
                try:
                    self._lead(gate, until)
                finally:
                    self._led_at = self._clock()
                    self._reading.release()
                    self._hand_on()
            else:
                self._followers[gate] = None
                try:
                    gate.sleep(self._monitor, left)
                finally:
                    del self._followers[gate]
        return gate.done()

    @property
    def _is_readable(self) -> bool:
        """Whether replies are to come that whoever waits may read."""
        return bool(self._session.calls) and self._over is None and self.connected

    def _lead(self, gate: SyncGate, until: float) -> None:
        """Read, until the gate is open or nothing more is to come."""
        while not gate.done() and self._is_readable and (left := until - self._clock()) > 0:
            sock, began = self._sock, False
            size: int | OSError | None = None
            try:
                with self._monitor.left():
                    if sock is not None and self._readers_poll.poll(left * 1000):
                        began = True
                        size = _read(sock, self._buffer)
            except BaseException:
                if began:  # what was read is lost
                    self.fail("interrupted", "a call was interrupted while it read")
                raise
            if size is not None and self._over is None:
                self._take(size)

    def _hand_on(self) -> None:
        """Others wait still: one of them reads. If nobody does, the link thread looks soon."""
        if self._session.calls:
            for gate in self._followers:
                if not gate.done():
                    gate.ring()
                    return

    # -- time --------------------------------------------------------------------------------------------------------

    def alarm(self, delay: float, ring: Callable[[], None]) -> _Alarm:
        """Call ``ring`` after ``delay`` seconds, in the link thread and under the monitor."""
        alarm = _Alarm(self._clock() + delay, ring)
        heapq.heappush(self._alarms, alarm)
        self._be_up_by(alarm.when)
        return alarm

    def look_at_clock(self) -> None:
        """Judge now what is overdue, in whatever thread."""
        if self.link.connected:
            self._tick()

    def _arm(self, when: float) -> None:
        self._wake_at = when
        self._be_up_by(when)

    def _disarm(self) -> None:
        self._wake_at = float("inf")

    def _be_up_by(self, when: float) -> None:
        if when < self._sleeps_until:
            self._knock()

    def _knock(self) -> None:
        """Wake the link thread, if it sleeps and nobody has done so yet."""
        if self._sleeps_until > -float("inf"):
            self._sleeps_until = -float("inf")
            with suppress(OSError):
                self._knocker.send(b"!")

    def _has_bytes(self) -> bool:
        if self._sock is None:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def bound(self, seconds: float) -> None:
        """Raise ``TimeoutError`` in whatever the link thread waits for that long from now."""
        self._until = self._clock() + seconds

    def _within(self, seconds: float) -> AbstractAsyncContextManager[Deadline]:
        return _Bound(self, seconds)

    def _new_poll(self, sock: socket.socket | None) -> "select.poll":
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if sock is not None:
            poll.register(sock, select.POLLIN)
        self._polled = select.POLLIN
        self._readers_poll = select.poll()
        if sock is not None:
            self._readers_poll.register(sock, select.POLLIN)
        return poll

    # -- the link thread ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the link thread."""
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or the system has no more threads: then without a server
            self.link.lost("unreachable", self._clock())
            self._tell_tried()
            self._let_go()

    def _main(self) -> None:
        try:
            self._monitor.run(self._run())
        except Exception:
            log.exception("fleetcache: the link thread ended by a defect of ours; this instance stays offline")
        finally:
            self._let_go()

    def _turn(self, until: float = float("inf")) -> None:
        """Sleep until something happens or ``until``, and deal with what happened."""
        wake = min(until, self._until, self._wake_at, self._alarms[0].when if self._alarms else float("inf"))
        self._sleeps_until = wake  # from here on a knock is heard
        if self._over is not None and self._sock is not None:
            return
        size = self._sleep(max(0.0, wake - self._clock()))
        self._sleeps_until = -float("inf")
        if size is not None:
            try:
                if self._over is None:
                    self._take(size)
            finally:
                self._reading.release()
            self._hand_on()
        if self._over is None and self._rest is not None:
            self._write_on()
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
        """Without the monitor: wait, and read; how many bytes, an error, or ``None`` when there was nothing to read."""
        sock, poll = self._sock, self._poll
        left_to_others = self._reading.locked() or self._clock() - self._led_at < READ_BY_OTHERS
        if left_to_others:
            seconds = min(seconds, READ_BY_OTHERS)
        with self._monitor.left():  # what was queued goes out there
            if sock is not None:
                wanted = (0 if left_to_others else select.POLLIN) | (0 if self._rest is None else select.POLLOUT)
                if wanted != self._polled:
                    poll.modify(sock, wanted)
                    self._polled = wanted
            ready = poll.poll(None if seconds == float("inf") else seconds * 1000)
            events = 0
            for descriptor, what in ready:
                if descriptor == self._bell_number:
                    with suppress(OSError):
                        self._bell.recv(64)
                else:
                    events = what
            if sock is None or not events & ~select.POLLOUT:
                return None
            if not self._reading.acquire(blocking=False):
                return None  # somebody who waits for it does
            size = _read(sock, self._buffer)
        if size is None:
            self._reading.release()
        return size

    def _take(self, size: int | OSError) -> None:
        """Hand on what was read."""
        if isinstance(size, OSError):
            self.fail("reset", repr(size))
        elif size == 0:
            self.fail("reset", "the server closed the connection")
        elif self._tls is None:
            self.received(self._buffer[:size])
        else:
            try:
                with self._sending:
                    said = self._tls.decrypt(self._buffer[:size])
            except (OSError, EOFError) as error:
                self.fail("reset", repr(error))
                return
            if self._tls.pending and self._rest is None:
                self._out.append(b"")
            if said:
                self.received(memoryview(said))

    async def _until_over(self) -> None:
        while self._over is None:
            self._turn()

    async def _reply(self, gate: Gate) -> Any:
        while not gate.done() and self._over is None:
            self._turn()
        return gate.result() if isinstance(gate, SyncGate) and gate.done() else None

    async def _pause(self, seconds: float) -> None:
        until = self._clock() + seconds
        while self._clock() < until and self.link.state is not LinkState.CLOSED:
            self._turn(until)

    def _gate(self) -> SyncGate:
        return SyncGate()

    # -- the connection's life -----------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        with self._monitor.left():
            sock, tls = self._dial()
            with self._sending:
                self._out.clear()
                self._rest = None
                self._sock, self._tls = sock, tls
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
                tls.shake(sock)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock, tls

    async def _provided(self, provider: CredentialProvider) -> tuple[str, ...]:
        with self._monitor.left():
            return tuple(provider.get_credentials())

    def fail(self, reason: str, detail: str) -> None:
        """Have the link thread give the connection up: another could give its number to a new file while it polls."""
        if self._over is None:
            self.last_error = self._without_secrets(detail)
            self._over = reason
        self._tell_over()

    def _tell_over(self) -> None:
        self._knock()

    def _abort(self) -> None:
        self._over = self._over or "dropped"
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # not a word to the server; whoever waits for its replies wakes up
        # While another polls it or reads from it, its number must not become that of a new file.
        with self._monitor.left():
            self._reading.acquire()
        try:
            with self._sending:
                self._out.clear()
                self._sock = self._tls = self._rest = None
            self._poll = self._new_poll(None)
            if sock is not None:
                sock.close()
        finally:
            self._reading.release()

    async def close(self) -> None:
        """End the connection and the thread."""
        self.link.close(self._clock())
        self._over = self._over or "closed"
        self._knock()
        if self._thread.is_alive() and current_thread() is not self._thread:
            with self._monitor.left():
                self._thread.join(FAREWELL)

    def _let_go(self) -> None:
        for sock in (self._bell, self._knocker):
            sock.close()

    def abandon(self) -> list[Any]:
        """In a forked child: close our copies of the descriptors, without a lock and without a word."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with suppress(OSError):
                os.close(sock.detach())
        self._let_go()
        return []


def _read(sock: socket.socket, buffer: memoryview) -> int | OSError | None:
    try:
        return sock.recv_into(buffer)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        return error
