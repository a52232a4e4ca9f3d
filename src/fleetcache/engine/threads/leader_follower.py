"""Leader and followers on the one connection: each thread writes its calls, and one waiting thread reads for all.

All code here runs under the monitor, except for the system calls: those let other threads run.
"""

import select
import socket
from abc import abstractmethod
from collections import deque
from typing import Any

from ...wire.connection import Connection
from ...wire.hints import lost
from ...wire.session import AnyCall
from .monitor import Monitor, ThreadFuture
from .tls import Tls
from .try_lock import TryLock

__all__ = ["LeaderFollowerConnection", "read"]

READ_SIZE = 256 * 1024


class LeaderFollowerConnection(Connection):
    """The side of a connection that its callers use; further arguments as for ``Connection``.

    Args:
        monitor: Held by the calling thread, except where a method says otherwise.
    """

    def __init__(self, *args: Any, monitor: Monitor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._monitor = monitor
        self._sock: socket.socket | None = None
        self._tls: Tls | None = None
        self._out: deque[bytes] = deque()
        self._sending = TryLock()  # its holder sends for all threads; only the link thread ever waits for it
        self._rest: memoryview | None = None  # bytes that the socket did not take; only the link thread sends meanwhile
        self._reading = TryLock()  # as ``_sending``: its holder reads for all threads
        self._readers_poll = select.poll()
        self._followers: dict[ThreadFuture, None] = {}  # futures of callers that wait while another thread reads
        self._last_leader_read = -float("inf")
        self._buffer = memoryview(bytearray(READ_SIZE))

    @abstractmethod
    def _wake(self) -> None:
        """Wake the link thread, if it sleeps and no other thread has woken it yet."""

    # -- calls -------------------------------------------------------------------------------------------------------

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

    def flush(self) -> None:
        """Write the queued calls, as far as the socket takes them at once; called without the monitor.

        A system call lets other threads run. If they found the monitor taken, each call would cost two more switches
        between threads. So one thread sends, and the calls that other threads queue meanwhile go with its next write.
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
        """Send all queued calls, in their order; the caller holds ``_sending``."""
        sock, out, parts = self._sock, self._out, []
        while out:
            parts.append(out.popleft())
        if sock is None or self.over is not None:
            return
        try:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            if self._tls is not None:
                data = self._tls.encrypt(data)
            self._send(sock, memoryview(data))
        except OSError as error:
            self.fail("reset", repr(error))
        except BaseException:
            # It is unknown how many bytes of the call were sent: the server would read the next call as its rest.
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
        """Send the rest, in the link thread, when the socket takes more."""
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
        """Release the monitor until the future has a result or ``timeout`` seconds have passed.

        One of the waiting threads, the leader, reads the replies for all: a wake-up by the link thread would cost two
        switches between threads. When the leader has its own reply, a follower takes its place.

        Returns:
            Whether the future has a result.
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
        """Return True if replies are to come that a waiting thread may read."""
        return bool(self.session.calls) and self.over is None and self.link.serves

    def _read_as_leader(self, future: ThreadFuture, until: float) -> None:
        """Read until the future has a result or no more replies are to come."""
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
                if began:  # the bytes that were read are lost
                    self.fail("interrupted", "a call was interrupted while it read")
                raise
            if size is not None and self.over is None:
                self._take(size)
            left = until - self._clock() if not future.opened and self._is_readable else 0.0

    def _promote_follower(self) -> None:
        """Wake a follower to read the replies still to come. If no thread waits, the link thread reads soon."""
        for future in self._followers:
            if not future.opened:
                future.notify()
                return

    def _take(self, size: int | OSError) -> None:
        """Pass on the bytes that were read, or the error."""
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
    """Read once; return the number of bytes, an error, or ``None`` when there were no bytes to read."""
    try:
        return sock.recv_into(buffer)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        return error
