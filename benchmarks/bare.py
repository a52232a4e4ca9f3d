"""The floor under shared hits: the two commands of a hit, many tasks on one connection, and nothing else.

There is no cache: no time-out, no reconnect, no type, no tags, no tracking. A hit costs only a task, a future and the
parser. So no Python client that asks for a value and its time to live on one connection can be faster. For threads
the same with a blocking socket.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any
from urllib.parse import urlsplit

import hiredis

from fleetcache.engine.aio.connection import MUCH, PIECE

__all__ = ["Bare", "connect", "connect_blocking"]

_MORE = object()  # the parser's sign for an incomplete reply
_BUFFER = 256 * 1024  # bytes, as in fleetcache


class Bare(asyncio.BufferedProtocol):
    """One connection; the calls of one turn of the loop are written together, or the first of them in pieces."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._value: Any = _MORE  # the first reply of a call whose second is still to come
        self._out: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return the buffer that the loop reads into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse the replies; two of them are one answer."""
        self._reader.feed(self._buffer[:nbytes])  # type: ignore[arg-type]  # it takes any buffer; its stub is behind
        gets = self._reader.gets
        while (reply := gets()) is not _MORE:
            if self._value is _MORE:
                self._value = reply
            else:
                self._waiting.popleft().set_result(self._value)
                self._value = _MORE

    async def get(self, key: str) -> Any:
        """``GET`` and ``PTTL``."""
        return await self._ask(_question(key))

    async def put(self, key: str, value: str) -> Any:
        """``SET``, and any second command."""
        stored = hiredis.pack_command(("SET", key, value, "EX", 3600))  # type: ignore[arg-type]  # its stub is behind
        return await self._ask(stored + b"*1\r\n$4\r\nPING\r\n")

    def _ask(self, payload: bytes) -> "asyncio.Future[Any]":
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(payload)
        answer = self._loop.create_future()
        self._waiting.append(answer)
        if len(self._out) == PIECE and len(self._waiting) < MUCH + PIECE:
            self._flush()
        return answer

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()


async def connect(url: str, stack: AsyncExitStack) -> Bare:
    """Open a connection; it is closed with the stack."""
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    transport, bare = await loop.create_connection(Bare, where.hostname or "", where.port or 0)
    stack.callback(transport.abort)
    return bare


def connect_blocking(url: str, stack: ExitStack) -> Callable[[str], Any]:
    """Open a connection for a single thread; return its ``get``."""
    where = urlsplit(url)
    sock = stack.enter_context(socket.create_connection((where.hostname or "", where.port or 0)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader, buffer = hiredis.Reader(notEnoughData=_MORE), memoryview(bytearray(_BUFFER))

    def reply() -> Any:
        while (found := reader.gets()) is _MORE:
            reader.feed(buffer[: sock.recv_into(buffer)])  # type: ignore[arg-type]  # as above
        return found

    def get(key: str) -> Any:
        sock.sendall(_question(key))
        value = reply()
        reply()
        return value

    return get


def _question(key: str) -> bytes:
    raw = key.encode()
    return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n" % (len(raw), raw, len(raw), raw)
