"""Leader and followers on the socket of a connection: each thread writes its calls, one waiting thread reads for all.

All code here runs under the monitor, except for the system calls: those let other threads run.
"""

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ...clock import Clock
from ...wire.connection import Connection
from ...wire.error_hints import lost
from .monitor import Monitor, ThreadFuture
from .tls import Tls
from .try_lock import TryLock

__all__ = ["LONG_READ", "LeaderFollowerSocket", "read"]

READ_SIZE = 256 * 1024
# Seconds after which the link thread no longer looks in between whether the leader still reads: the leader wakes it at
# its end. A wake-up for each quick reply would cost more than the link thread's own looks.
LONG_READ = 0.01
# Seconds that a thread may still read once its time is up, if bytes wait in the socket by then.
LAST_READ = 0.001


class LeaderFollowerSocket:
    """The socket of a connection, which all its threads write to and read from.

    Args:
        connection: Gets the bytes that arrive, and is given up when the socket fails.
        monitor: Held by the calling thread, except where a method says otherwise.
        clock: Seconds.
        wake: Wakes the link thread.

    Attributes:
        sock: The open socket; ``None`` between two connections.
        out: Calls that are not written yet.
        rest: Bytes that the socket did not take. Meanwhile only the link thread sends.
        sending: Its holder sends for all threads. Only the link thread ever waits for it.
        reading: Its holder reads for all threads, into ``buffer``. Only the link thread ever waits for it.
        last_leader_read: When a waiting caller last read for itself.
        led_since: When the leader began to read.
    """

    def __init__(self, connection: Connection, monitor: Monitor, clock: Clock, wake: Callable[[], None]) -> None:
        self._connection, self._monitor, self._clock, self._wake = connection, monitor, clock, wake
        self.sock: socket.socket | None = None
        self._tls: Tls | None = None
        self.out: deque[bytes] = deque()
        self.rest: memoryview | None = None
        self.sending, self.reading = TryLock(), TryLock()
        self._poll = select.poll()
        self._followers: dict[ThreadFuture, None] = {}  # futures of callers that wait while another thread reads
        self.last_leader_read = self.led_since = -float("inf")
        self.buffer = memoryview(bytearray(READ_SIZE))

    # -- from one connection to the next -----------------------------------------------------------------------------

    def open(self, sock: socket.socket, tls: Tls | None) -> None:
        """Use this connected socket from now on; called by the link thread without the monitor."""
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        self.sending.acquire(self)
        self.out.clear()
        self.rest = None
        self.sock, self._tls, self._poll = sock, tls, poll
        self.sending.release(self)

    def close(self) -> None:
        """Close with a reset: otherwise the kernel continues to send, and a SET lands seconds after its replacement."""
        sock = self.sock
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # sends nothing to the server; wakes a caller that waits for a reply
        # While another thread polls the socket or reads from it, its descriptor must not become that of a new file.
        with self._monitor.released():
            self.reading.acquire(self)
            self.sending.acquire(self)
        self.out.clear()
        self.sock = self._tls = self.rest = None
        self._poll = select.poll()
        if sock is not None:
            sock.close()
        self.sending.release(self)
        self.reading.release(self)

    def abandon(self) -> None:
        """Close this process's copy of the descriptor in a forked child, without a lock and without sending."""
        sock, self.sock = self.sock, None
        if sock is not None:
            with suppress(OSError):
                os.close(sock.detach())

    # -- writing -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write the queued calls, as far as the socket takes them at once; called without the monitor.

        A system call lets other threads run. If they found the monitor taken, each call would cost two more switches
        between threads. So one thread sends, and the calls that other threads queue meanwhile go with its next write.
        """
        if not self.out or self.rest is not None:
            return
        token, sent = object(), True
        while sent and self.out and self.rest is None:
            try:
                sent = self.sending.try_acquire(token)
                if sent:
                    self._write()
            finally:
                self.sending.release(token)

    def _write(self) -> None:
        """Send all queued calls, in their order; the caller holds ``sending``."""
        sock, out, parts = self.sock, self.out, []
        while out:
            parts.append(out.popleft())
        if sock is None or self._connection.over is not None:
            return
        try:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            if self._tls is not None:
                data = self._tls.encrypt(data)
            self._send(sock, memoryview(data))
        except OSError as error:
            self._connection.fail("reset", repr(error))
        except BaseException:
            # It is unknown how many bytes of the call were sent: the server would read the next call as its rest.
            self._connection.fail("interrupted", "a call was interrupted while it was written")
            raise

    def _send(self, sock: socket.socket, data: memoryview) -> None:
        try:
            sent = sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        left = data[sent:]
        if left:
            self.rest = left
            self._wake()
        else:
            self.rest = None

    def write_on(self) -> None:
        """Send the rest, in the link thread, when the socket takes more."""
        token = object()
        try:
            self.sending.acquire(token)
            sock, rest = self.sock, self.rest
            if sock is not None and rest is not None:
                self._send(sock, rest)
        except OSError as error:
            self._connection.fail("reset", repr(error))
        finally:
            self.sending.release(token)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def wait(self, future: ThreadFuture, timeout: float) -> bool:
        """Release the monitor until the future has a result or ``timeout`` seconds have passed.

        One of the waiting threads, the leader, reads the replies for all: a wake-up by the link thread would cost two
        switches between threads. When the leader has its own reply, a follower takes its place. A thread that had no
        processor until its time was up reads what came meanwhile: that is no fault of the server.

        Returns:
            Whether the future has a result.
        """
        now = self._clock()
        until = now + timeout
        while not future.opened and now < until:
            if not self._lead(future, until, now):
                try:
                    self._followers[future] = None
                    future.wait(self._monitor, until - now)
                finally:
                    self._followers.pop(future, None)
            elif future.opened:
                return True
            now = self._clock()
        if not future.opened and self.has_bytes():
            self._lead(future, now + LAST_READ, now)
        return future.opened

    def _lead(self, future: ThreadFuture, until: float, now: float) -> bool:
        """Read as the leader, if no other thread does; return whether this thread has been the leader."""
        leads = False
        try:
            leads = self._is_readable and self.reading.try_acquire(future)
            if leads:
                self.led_since = now
                self._read_as_leader(future, until)
        finally:
            if self.reading.release(future):
                self.last_leader_read = self._clock()
                if self.last_leader_read - self.led_since > LONG_READ:
                    self._wake()
                if self._connection.session.calls:
                    self.promote_follower()
        return leads

    @property
    def _is_readable(self) -> bool:
        """Return True if replies are to come that a waiting thread may read."""
        connection = self._connection
        return bool(connection.session.calls) and connection.over is None and connection.link.serves

    def _read_as_leader(self, future: ThreadFuture, until: float) -> None:
        """Read until the future has a result or no more replies are to come."""
        left = until - self._clock()
        while left > 0:
            sock, began = self.sock, False
            size: int | OSError | None = None
            try:
                with self._monitor.released():
                    if sock is not None and self._poll.poll(left * 1000):
                        began = True
                        size = read(sock, self.buffer)
            except BaseException:
                if began:  # the bytes that were read are lost
                    self._connection.fail("interrupted", "a call was interrupted while it read")
                raise
            if size is not None and self._connection.over is None:
                self.take(size)
            left = until - self._clock() if not future.opened and self._is_readable else 0.0

    def promote_follower(self) -> None:
        """Wake a follower to read the replies still to come. If no thread waits, the link thread reads soon."""
        for future in self._followers:
            if not future.opened:
                future.notify()
                return

    def take(self, size: int | OSError) -> None:
        """Pass on the bytes that were read, or the error."""
        if isinstance(size, OSError):
            self._connection.fail("reset", repr(size))
        elif size == 0:
            self._connection.fail("reset", "the server closed the connection")
        elif self._tls is None:
            self._connection.received(self.buffer[:size])
        else:
            token = object()
            try:
                self.sending.acquire(token)
                said = self._tls.decrypt(self.buffer[:size])
            except (OSError, EOFError) as error:
                self._connection.fail("reset", lost(error))
                return
            finally:
                self.sending.release(token)
            if self._tls.pending and self.rest is None:
                self.out.append(b"")
            if said:
                self._connection.received(memoryview(said))

    def has_bytes(self) -> bool:
        """Return True if bytes wait in the socket."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


def read(sock: socket.socket, buffer: memoryview) -> int | OSError | None:
    """Read once; return the number of bytes, an error, or ``None`` when there were no bytes to read."""
    try:
        return sock.recv_into(buffer)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        return error
