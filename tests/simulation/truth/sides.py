"""The two sides of the comparison: a real server and the simulated one, with the same few methods."""

import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import hiredis

from tests.simulation.server import Engine, SimClient, SimServer
from tests.support.servers import Server
from tests.support.waiting import wait_until

from .frames import END, Command, IdOf, Push, frame_of

__all__ = ["Real", "Side", "Simulated"]

# A life of 1 ms is over 2 ms later at the latest: the server counts in whole milliseconds.
PASSING = 0.0021

# On a quiet machine any frame comes within this time; on a busy one a wrong frame may go unseen once.
SILENCE = 0.05

_NOTHING = object()


class Side(ABC):
    """One server and its clients, by number."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}

    @abstractmethod
    def connect(self, client: int) -> None:
        """Connect anew; the client's earlier connection is closed."""

    @abstractmethod
    def write(self, client: int, data: bytes) -> None:
        """Send bytes."""

    @abstractmethod
    def read(self, client: int) -> Any:
        """Return the next frame as the reader made it, or ``END``, and that again."""

    @abstractmethod
    def pass_time(self) -> None:
        """Wait until everything with a life of a millisecond is due."""

    @abstractmethod
    def expire(self, left: int) -> int:
        """Let the active cycle remove due keys, until this many keys are left. Return the number of keys."""

    def exchange(self, client: int, commands: Sequence[Command]) -> list[Any]:
        """Send in one write; return all frames, earlier pushes first, up to the reply to a ``PING`` behind them.

        By then every push of these commands has come, or the connection has ended.
        """
        lines = [tuple(self._ids[arg.client] if isinstance(arg, IdOf) else arg for arg in line) for line in commands]
        self.write(client, b"".join(hiredis.pack_command(line) for line in [*lines, ("PING",)]))  # type: ignore[arg-type]  # stub: 1-tuple
        frames: list[Any] = []
        missing = len(lines) + 1
        while missing and END not in frames:
            raw = self.read(client)
            if isinstance(raw, dict):
                self._ids[client] = raw[b"id"]
            frames.append(frame_of(raw))
            missing -= not isinstance(frames[-1], Push)
        return frames


class Real(Side):
    """A real server, emptied; its active cycle runs only in ``expire``.

    Attributes:
        owner: A connection beside the clients, for acts on the server.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._path = str(server.folder / "s")
        self._sockets: dict[int, socket.socket] = {}
        self._readers: dict[int, hiredis.Reader] = {}
        self._take_over()
        self.owner.pipeline(("SCRIPT", "FLUSH"), ("FLUSHALL",))

    def _take_over(self) -> None:
        self.owner = self._server.client()
        self.owner.pipeline(("CONFIG", "SET", "hz", 500), ("DEBUG", "SET-ACTIVE-EXPIRE", 0))

    def restart(self) -> None:
        """End the server cleanly, and start it again with its snapshot."""
        self.owner.close()
        self._server.restart()
        self._take_over()

    def connect(self, client: int) -> None:
        self._close(client)
        self._readers[client] = hiredis.Reader(notEnoughData=_NOTHING)
        self._sockets[client] = socket.socket(socket.AF_UNIX)
        self._sockets[client].settimeout(5)
        self._sockets[client].connect(self._path)

    def write(self, client: int, data: bytes) -> None:
        if client in self._sockets:
            try:
                self._sockets[client].sendall(data)
            except BrokenPipeError:
                return  # the frames before the end can still be read

    def is_silent(self, client: int) -> bool:
        """Return True if no byte comes for a while."""
        return not select.select([self._sockets[client]], [], [], SILENCE)[0]

    def read(self, client: int) -> Any:
        while (raw := self._readers[client].gets()) is _NOTHING:
            received = self._receive(client)
            if not received:
                self._close(client)
                return END
            self._readers[client].feed(received)
        return raw

    def _receive(self, client: int) -> bytes:
        try:
            return self._sockets[client].recv(65536) if client in self._sockets else b""
        except ConnectionError:
            return b""

    def _close(self, client: int) -> None:
        if client in self._sockets:
            self._sockets.pop(client).close()

    def pass_time(self) -> None:
        time.sleep(PASSING)

    def expire(self, left: int) -> int:
        self.owner("DEBUG", "SET-ACTIVE-EXPIRE", 1)
        try:
            wait_until(lambda: self._keys() == left)
        finally:
            self.owner("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        return left

    def close(self) -> None:
        """Close all connections."""
        for client in list(self._sockets):
            self._close(client)
        self.owner.close()

    def _keys(self) -> int:
        lines = self.owner("INFO", "keyspace").decode().splitlines()
        return sum(int(line.partition("keys=")[2].partition(",")[0]) for line in lines if line.startswith("db"))


class Simulated(Side):
    """The simulated server. Its time moves only in ``pass_time``."""

    def __init__(self, engine: Engine, make: Callable[..., SimServer] = SimServer) -> None:
        super().__init__()
        self._now = 1e6
        self.server = make(lambda: self._now, Random(1), engine=engine)
        self._clients: dict[int, SimClient] = {}
        self._readers: dict[int, hiredis.Reader] = {}

    def connect(self, client: int) -> None:
        if client in self._clients:
            self._clients[client].drop()
        self._clients[client] = self.server.connect()
        self._readers[client] = hiredis.Reader(notEnoughData=_NOTHING)

    def write(self, client: int, data: bytes) -> None:
        self._clients[client].receive(data)
        self.deliver()

    def deliver(self) -> None:
        """Give each client the server's output."""
        for number, other in self._clients.items():  # all output goes out after each turn of the server
            self._readers[number].feed(other.take())

    def is_silent(self, client: int) -> bool:
        """Return True if no byte has come."""
        return not self._readers[client].has_data()

    def read(self, client: int) -> Any:
        raw = self._readers[client].gets()
        if raw is _NOTHING:
            assert self._clients[client].closed, "a reply is missing"
            return END
        return raw

    def pass_time(self) -> None:
        self._now += PASSING

    def expire(self, left: int) -> int:
        del left
        self.server.expire_due()
        return len(self.server.keys)
