"""What threads do for themselves on the one connection: each writes its calls, and of those who wait one reads for all.

Everything here runs under the monitor, but for the system calls: those let other threads run.
"""

import select
import socket
from abc import abstractmethod
from collections import deque
from typing import Any

from ...wire.hints import lost
from ...wire.reconnect import Reconnector
from ...wire.session import AnyCall
from .monitor import Monitor, ThreadFuture
from .tls import Tls
from .try_lock import TryLock

__all__ = ["LeaderFollowerConnection", "read"]

READ_SIZE = 256 * 1024


class LeaderFollowerConnection(Reconnector):
    """One connection, as its callers use it; further arguments as for ``Reconnector``.

    Args:
        monitor: Held by whoever calls anything here.
    """

    def __init__(self, *args: Any, monitor: Monitor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._monitor = monitor
        self._sock: socket.socket | None = None
        self._tls: Tls | None = None
        self._out: deque[bytes] = deque()
        self._sending = TryLock()  # never waited for but by the link thread: whoever has it sends for all
        self._rest: memoryview | None = None  # what the socket did not take; only the link thread sends meanwhile
        self._reading = TryLock()  # as ``_sending``: whoever has it reads for all
        self._readers_poll = select.poll()
        self._followers: dict[ThreadFuture, None] = {}  # who waits for replies while another reads
        self._last_leader_read = -float("inf")
        self._buffer = memoryview(bytearray(READ_SIZE))

    @abstractmethod
    def _wake(self) -> None:
        """Wake the link thread, if it sleeps and nobody has done so yet."""

    # -- calls -------------------------------------------------------------------------------------------------------

    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:  # noqa: ARG002 - it is written when the monitor is left, which is as soon
        """Queue a call; what a thread queues before it lets others in is written together."""
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

    def flush(self) -> None:
        """Write what was queued, as far as the socket takes it at once; called without the monitor.

        A system call lets other threads run: if they found the monitor taken, each call would cost two more switches
        between threads. So one of them sends, and what the others queue meanwhile goes with its next write.
        """
        if not self._out or self._rest is not None:
            return
        token, sent = object(), True
        while sent and self._out and self._rest is None:
            try:
                sent = self._sending.try_acquire(token)
                if sent:
                    self._write()
            finally:
                self._sending.release(token)

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
            self._wake()
        else:
            self._rest = None

    def _write_on(self) -> None:
        """In the link thread, when the socket takes more."""
        token = object()
        try:
            self._sending.acquire(token)
            sock, rest = self._sock, self._rest
            if sock is not None and rest is not None:
                self._send(sock, rest)
        except OSError as error:
            self.fail("reset", repr(error))
        finally:
            self._sending.release(token)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def wait(self, future: ThreadFuture, timeout: float) -> bool:
        """Let the others in until the gate is open or ``timeout`` seconds have passed; whether it is open.

        Of those who wait for replies one reads, for all: to be woken by the link thread would cost two switches
        between threads. When it has what it waited for, the next one does.
        """
        until = self._clock() + timeout
        left = timeout
        while not future.opened and left > 0:
            try:
                leads = self._is_readable and self._reading.try_acquire(future)
                if leads:
                    self._read_as_leader(future, until)
            finally:
                if self._reading.release(future):
                    self._last_leader_read = self._clock()
                    if self.session.calls:
                        self._promote_follower()
            if not leads:
                try:
                    self._followers[future] = None
                    future.wait(self._monitor, left)
                finally:
                    self._followers.pop(future, None)
            left = until - self._clock()
        return future.opened

    @property
    def _is_readable(self) -> bool:
        """Whether replies are to come that whoever waits may read."""
        return bool(self.session.calls) and self._over is None and self.link.serves

    def _read_as_leader(self, future: ThreadFuture, until: float) -> None:
        """Read, until the gate is open or nothing more is to come."""
        left = until - self._clock()
        while left > 0:
            sock, began = self._sock, False
            size: int | OSError | None = None
            try:
                with self._monitor.released():
                    if sock is not None and self._readers_poll.poll(left * 1000):
                        began = True
                        size = read(sock, self._buffer)
            except BaseException:
                if began:  # what was read is lost
                    self.fail("interrupted", "a call was interrupted while it read")
                raise
            if size is not None and self._over is None:
                self._take(size)
            left = until - self._clock() if not future.opened and self._is_readable else 0.0

    def _promote_follower(self) -> None:
        """Replies are to come still: one of those who wait reads. If nobody does, the link thread looks soon."""
        for future in self._followers:
            if not future.opened:
                future.notify()
                return

    def _take(self, size: int | OSError) -> None:
        """Hand on what was read."""
        if isinstance(size, OSError):
            self.fail("reset", repr(size))
        elif size == 0:
            self.fail("reset", "the server closed the connection")
        elif self._tls is None:
            self.received(self._buffer[:size])
        else:
            token = object()
            try:
                self._sending.acquire(token)
                said = self._tls.decrypt(self._buffer[:size])
            except (OSError, EOFError) as error:
                self.fail("reset", lost(error))
                return
            finally:
                self._sending.release(token)
            if self._tls.pending and self._rest is None:
                self._out.append(b"")
            if said:
                self.received(memoryview(said))

    def _has_bytes(self) -> bool:
        if self._sock is None:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))


def read(sock: socket.socket, buffer: memoryview) -> int | OSError | None:
    """How many bytes there were, an error, or ``None`` when there was nothing."""
    try:
        return sock.recv_into(buffer)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        return error
