"""One direction of one proxied connection (``Pipe``), and the rules for all connections in that direction (``Way``).

Held bytes represent the bytes that a kernel would continue to retransmit. When the sender closes its socket (FIN), the
bytes still arrive later, and the FIN after them. When the sender resets the connection (RST), the bytes are lost.
"""

import asyncio
import socket
import struct
import time
import weakref
from collections import deque
from dataclasses import dataclass

__all__ = ["CutError", "Pipe", "Way", "reset"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends an RST


class CutError(Exception):
    """The connection has delivered its last allowed byte."""


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST, and drop its bytes that were written but not sent."""
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()


class Way:
    """The rules of one direction. Used only on the event loop of the proxy."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.delivered = 0
        self.cut_after: int | None = None
        self._pipes: weakref.WeakSet[Pipe] = weakref.WeakSet()
        self._open = asyncio.Event()
        self._open.set()

    def add(self, pipe: "Pipe") -> None:
        """Add a pipe to which these rules apply."""
        self._pipes.add(pipe)

    @property
    def held(self) -> int:
        """Number of bytes that wait in all pipes."""
        return sum(pipe.held for pipe in self._pipes)

    def drop(self) -> None:
        """Drop the bytes that wait in all pipes."""
        for pipe in self._pipes:
            pipe.drop()

    def stall(self) -> None:
        """Hold all bytes from now on."""
        self._open.clear()

    def go(self) -> None:
        """Deliver again, in order, first the held bytes."""
        self._open.set()

    async def may_pass(self, arrived: float) -> None:
        """Wait until bytes that arrived at that time may be delivered."""
        while not self._open.is_set() or (wait := arrived + self.delay - time.monotonic()) > 0:
            await (self._open.wait() if not self._open.is_set() else asyncio.sleep(wait))

    def account(self, chunk: bytes) -> bytes:
        """Count a chunk that is being delivered, and return the part of it that may be delivered."""
        if self.cut_after is not None:
            chunk = chunk[: self.cut_after]
            self.cut_after -= len(chunk)
        self.delivered += len(chunk)
        return chunk


@dataclass(frozen=True, eq=False)
class _Arrival:
    """Bytes, or if empty the end of the connection: a FIN, or an RST."""

    data: bytes = b""
    is_reset: bool = False


class Pipe:
    """Reads bytes from a reader, holds them by the rules of its direction, writes them to a writer."""

    def __init__(self, way: Way, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        self._way = way
        self._source = source
        self._target = target
        self._held: deque[tuple[float, _Arrival]] = deque()
        self._arrived = asyncio.Event()
        way.add(self)

    @property
    def held(self) -> int:
        """Number of bytes that wait in this pipe."""
        return sum(len(arrival.data) for _, arrival in self._held)

    def drop(self) -> None:
        """Drop the bytes that wait in this pipe. A waiting end of the connection stays."""
        self._held = deque(item for item in self._held if not item[1].data)

    async def run(self) -> None:
        """Relay until the end of the connection has been passed on, or the target is gone."""
        taking = asyncio.ensure_future(self._take())
        try:
            await self._give()
        except OSError:
            pass  # the target is gone; its own pipe tells the other side
        finally:
            taking.cancel()
            await asyncio.wait({taking})
            self._held.clear()  # no byte waits any more; the traceback of an error may keep this pipe alive for a while

    async def _take(self) -> None:
        """Read at all times, even while bytes are held, because only a read notices an RST."""
        try:
            while data := await self._source.read(65536):
                self._hold(_Arrival(data))
            self._hold(_Arrival())
        except OSError:
            self._held.clear()
            self._hold(_Arrival(is_reset=True))

    def _hold(self, arrival: _Arrival) -> None:
        self._held.append((time.monotonic(), arrival))
        self._arrived.set()

    async def _give(self) -> None:
        while True:
            arrival = await self._next()
            if not arrival.data:
                self._end(arrival)
                return
            allowed = self._way.account(arrival.data)
            if self._target.is_closing():  # asyncio ignores a write to a closed transport, uvloop raises
                return
            self._target.write(allowed)
            await self._target.drain()
            if self._way.cut_after == 0:
                self._way.cut_after = None  # once
                raise CutError

    def _end(self, arrival: _Arrival) -> None:
        if arrival.is_reset:
            reset(self._target)
        elif not self._target.is_closing():  # asyncio ignores a FIN on a closing transport, uvloop raises
            self._target.write_eof()

    async def _next(self) -> _Arrival:
        while True:
            if not self._held:
                self._arrived.clear()
                await self._arrived.wait()
            first = self._held[0]
            await self._way.may_pass(first[0])
            if self._held and self._held[0] is first:  # neither dropped nor reset meanwhile
                return self._held.popleft()[1]
