"""The asyncio shell of the wire: sockets, timers and the task that reconnects. It decides nothing.

``session`` knows the protocol, ``link_state`` the states, ``handshake`` the first commands, ``reconnect`` the order of
the steps. This file moves bytes between them and the event loop, and batches the calls of one turn of the loop.
"""

import asyncio
import os
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, cast

from ...config.url import CredentialProvider
from ...futures import Future
from ...wire.connection import Connection, Deadline
from ...wire.error_hints import lost
from ...wire.session import AnyCall
from .dialing import dial
from .runtime import without_farewell

__all__ = ["AioConnection"]

# Bytes read at once. As much as asyncio's own reads; one read brings several replies to a turn's calls.
READ_SIZE = 256 * 1024
# This many calls of one turn are written before the turn ends: the server works on them while the turn makes the
# rest. Measured with 50 tasks: a third more hits, the same from 12 to 32. Not while MUCH calls are unanswered, because
# each write is a system call.
PIECE = 16
MUCH = 2 * PIECE


class _Connection(asyncio.BufferedProtocol):
    """One transport's protocol. Events of an earlier transport are ignored.

    Buffered: the loop reads into one buffer. Otherwise it would allocate and cut 256 KiB for every reply.
    """

    def __init__(self, wire: "AioConnection") -> None:
        self._wire = wire
        self._buffer = memoryview(bytearray(READ_SIZE))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return the buffer that the loop reads into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on the bytes that arrived, if this is still the current connection."""
        if self._wire.connection is self:
            self._wire.received(self._buffer[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss, if this is still the current connection."""
        if self._wire.connection is self:
            self._wire.fail("reset", lost(exc) if exc else "the server closed the connection")


class _Timeout:
    """``asyncio.timeout`` that can be moved by seconds."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout

    def extend(self, seconds: float) -> None:
        """Move the timeout to ``seconds`` from now."""
        self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)


class AioConnection(Connection):
    """One connection on the event loop that made it; arguments as for ``Connection``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.connection: _Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None

    # -- calls ---------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of this connection."""
        return self._loop

    def submit(self, call: AnyCall, *, at_once: bool = False) -> None:
        """Queue a call. The calls of one turn of the loop are written together, or the first of them in pieces.

        Args:
            call: The call.
            at_once: The call is not part of a batch. While few calls are under way, it need not wait for the end of the
                turn.
        """
        session = self.session
        waiting = session.queue(call)
        if waiting == 1:
            if at_once and not session.calls:
                self._flush()
            else:
                self._loop.call_soon(self._flush)
        elif waiting == PIECE and at_once and len(session.calls) < MUCH:
            self._flush()

    def _flush(self) -> None:
        session = self.session
        if not session.queued:
            return  # the connection of the queued calls is gone
        now = self._clock()
        data = session.send_queued(now)
        if self._transport is not None:
            self._transport.write(data)
        timeout = self._limits.operation_timeout
        if self._loop.time() + timeout < self._wake_at:
            self._arm(now + timeout)

    # -- time ----------------------------------------------------------------------------------------------------

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # In the loop's own time: the loop's clock stands still while the host sleeps, and with it the timer.
        self._wake_at = self._loop.time() + max(0.0, when - self._clock())
        self._timer = self._loop.call_at(self._wake_at, self._tick)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wake_at = None, float("inf")

    def _has_bytes(self) -> bool:
        raw = self._transport.get_extra_info("socket") if self._transport is not None else None
        if raw is None or raw.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def pause(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await asyncio.sleep(seconds)

    def within(self, seconds: float) -> AbstractAsyncContextManager[Deadline]:
        """Return a timeout of asyncio."""

        @asynccontextmanager
        async def bound() -> AsyncIterator[Deadline]:
            async with asyncio.timeout(seconds) as timeout:
                yield _Timeout(timeout)

        return bound()

    # -- the connection's life ------------------------------------------------------------------------------------

    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine in a task."""
        self._task = self._loop.create_task(run(), name="fleetcache-link")
        without_farewell(self._task)

    async def connect(self) -> None:
        """Open a connection."""
        self._ended = self._loop.create_future()
        address = self.address
        connection = self.connection = _Connection(self)
        if address.path is not None:
            transport, _ = await self._loop.create_unix_connection(lambda: connection, address.path)
        else:
            # In a thread, because reading the system's certificates takes tens of milliseconds. For each connection,
            # because certificates are rotated.
            context = await asyncio.to_thread(address.ssl_context) if address.kind == "tls" else None
            sock = await dial(address.host, address.port)
            self.shaking = context is not None
            transport, _ = await self._loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=context,
                server_hostname=address.host if context is not None else None,
            )
        self.shaking = False
        self._transport = transport

    async def provided(self, provider: CredentialProvider) -> tuple[str, ...]:
        """Ask the provider for user and password, on this loop."""
        asynchronous = getattr(provider, "get_credentials_async", None)
        return tuple(await asynchronous() if asynchronous is not None else provider.get_credentials())

    def future(self) -> Future:
        """Return a future of this loop."""
        return self._loop.create_future()

    async def reply(self, future: Future) -> Any:
        """Wait until the connection is over or the future has a result."""
        ours = cast("asyncio.Future[Any]", future)
        await asyncio.wait((ours, self._ended), return_when=asyncio.FIRST_COMPLETED)
        return ours.result() if ours.done() else None

    async def until_over(self) -> None:
        """Wait until the connection is over."""
        await self._ended

    def _tell_over(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _abort(self) -> None:
        transport, self._transport = self._transport, None
        self.connection = None
        if transport is None:
            return
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):
                _linger_not(raw)
        with suppress(RuntimeError):  # the loop was closed in the meantime
            transport.abort()

    async def close(self) -> None:
        """End the connection and the task."""
        self.link.close(self._clock())
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        # One turn, so that the transport's own cleanup runs while the loop still does.
        await asyncio.sleep(0)

    def abandon(self, *, reset: bool) -> list[Any]:
        """Close the descriptor, in a forked child or when the loop is gone.

        The old loop must not be touched (its selector is shared with the parent), so the transport is never closed,
        only kept alive.

        Args:
            reset: Whether to end the connection with a reset, so that its unsent bytes are never sent.

        Returns:
            The objects to keep alive: the transport and its task.
        """
        transport, self._transport = self._transport, None
        self.connection = None
        self._disarm()
        raw = transport.get_extra_info("socket") if transport is not None else None
        if raw is not None:
            with suppress(OSError, ValueError):  # ValueError: uvloop has closed it with the loop
                if reset:
                    _linger_not(raw)
                os.close(raw.fileno())
        if transport is None:
            return []
        transport.set_protocol(asyncio.Protocol())  # so that the transport does not keep the cache alive
        return [transport] if self._task is None or self._task.done() else [transport, self._task]


def _linger_not(raw: Any) -> None:
    """End the socket with a reset: else the kernel continues to send, and a SET lands seconds after its replacement."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
