"""The two sides of the comparison: a real server and the simulated one, behind the same few verbs.

A frame is what the reader made of it; a push, an error and an end of connection have types of their own, so that
they cannot be taken for a reply.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import hiredis

from fleetcache.wire.faults import reply_reason
from tests.simulation.server import Engine, SimClient, SimServer
from tests.support.client import Client
from tests.support.servers import Server
from tests.support.waiting import wait_until

__all__ = ["END", "Command", "End", "Failed", "IdOf", "Push", "Real", "Side", "Simulated"]


@dataclass(frozen=True)
class IdOf:
    """In a command: the number that the server gave to this client."""

    client: int


Command = tuple[bytes | str | int | IdOf, ...]

# A life of 1 ms is over after 2 ms at the latest: the server counts in whole ones.
PASSING = 0.0021


@dataclass(frozen=True)
class Push:
    """``invalidate`` for one key, or for all."""

    key: bytes | None


@dataclass(frozen=True)
class Failed:
    """An error reply: its code word, and what the cache reads out of it."""

    code: str
    reason: str


@dataclass(frozen=True)
class End:
    """The server closed the connection."""


END = End()

_NOTHING = object()


def _frame(raw: Any) -> Any:
    if isinstance(raw, hiredis.PushNotification):
        kind, keys = raw
        assert kind == b"invalidate"
        assert keys is None or len(keys) == 1, "in the default mode each push tells of one key"
        return Push(keys and keys[0])
    if isinstance(raw, hiredis.ReplyError):
        return Failed(str(raw).split(" ", 1)[0], reply_reason(raw))
    if isinstance(raw, list) and raw[:1] == [b"server"]:  # HELLO in RESP2
        raw = dict(zip(raw[::2], raw[1::2], strict=True))
    if isinstance(raw, dict):  # HELLO: which build and which connection it is does not matter
        return {key: value for key, value in raw.items() if key not in {b"id", b"version"}}
    return raw


class Side(ABC):
    """One server and its clients, by number."""

    @abstractmethod
    def connect(self, client: int) -> None:
        """Connect anew with ``HELLO 3``; a connection that this client had is closed."""

    @abstractmethod
    def id_of(self, client: int) -> int:
        """Return the server's number of this client."""

    @abstractmethod
    def exchange(self, client: int, commands: Sequence[Command]) -> list[Any]:
        """Send in one write; return all frames, earlier pushes first, up to the reply to a ``PING`` behind them.

        By then every push that the commands cause has come, or the connection has ended.
        """

    @abstractmethod
    def pass_time(self) -> None:
        """Wait until everything with a life of a millisecond is due."""

    @abstractmethod
    def expire(self, left: int) -> int:
        """Let the active cycle remove what is due, until so many keys are left. Returns how many there are."""

    def packed(self, commands: Sequence[Command]) -> list[tuple[Any, ...]]:
        """Return what is sent: numbers for clients, and the ``PING``."""
        lines = (*commands, ("PING",))
        return [tuple(self.id_of(arg.client) if isinstance(arg, IdOf) else arg for arg in line) for line in lines]


class Real(Side):
    """A real server, emptied; its active cycle stands still but for ``expire``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._clients: dict[int, Client] = {}
        self._ended: set[int] = set()
        self._ids: dict[int, int] = {}
        self._owner = server.client()
        self._owner.pipeline(
            ("CONFIG", "SET", "hz", 500), ("DEBUG", "SET-ACTIVE-EXPIRE", 0), ("SCRIPT", "FLUSH"), ("FLUSHALL",)
        )

    def connect(self, client: int) -> None:
        if client in self._clients:
            self._clients[client].close()
        self._clients[client] = self._server.client()
        self._ids[client] = self._clients[client].id
        self._ended.discard(client)

    def id_of(self, client: int) -> int:
        return self._ids[client]

    def exchange(self, client: int, commands: Sequence[Command]) -> list[Any]:
        if client in self._ended:
            return [END]
        connection = self._clients[client]
        frames: list[Any] = []
        missing = len(commands) + 1
        with suppress(BrokenPipeError):  # what came before the end is still to be read
            connection.send(*self.packed(commands))
        try:
            while missing:
                frames.append(_frame(connection.frame()))
                missing -= not isinstance(frames[-1], Push)
        except ConnectionError:
            frames.append(END)
            self._ended.add(client)
        return frames

    def pass_time(self) -> None:
        time.sleep(PASSING)

    def expire(self, left: int) -> int:
        self._owner("DEBUG", "SET-ACTIVE-EXPIRE", 1)
        try:
            wait_until(lambda: self._keys() == left)
        finally:
            self._owner("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        return left

    def close(self) -> None:
        for connection in self._clients.values():
            connection.close()
        self._owner("DEBUG", "SET-ACTIVE-EXPIRE", 1)
        self._owner.close()

    def _keys(self) -> int:
        lines = self._owner("INFO", "keyspace").decode().splitlines()
        return sum(int(line.partition("keys=")[2].partition(",")[0]) for line in lines if line.startswith("db"))


class Simulated(Side):
    """The simulated server. Its time stands still but for ``pass_time``."""

    def __init__(self, engine: Engine, make: Callable[..., SimServer] = SimServer) -> None:
        self._now = 1e6
        self.server = make(lambda: self._now, Random(1), engine=engine)
        self._clients: dict[int, SimClient] = {}
        self._readers: dict[int, hiredis.Reader] = {}

    def connect(self, client: int) -> None:
        if client in self._clients:
            self._clients[client].drop()
        self._clients[client] = self.server.connect()
        self._readers[client] = hiredis.Reader(notEnoughData=_NOTHING)
        self.exchange(client, [("HELLO", 3)])

    def id_of(self, client: int) -> int:
        return self._clients[client].id

    def exchange(self, client: int, commands: Sequence[Command]) -> list[Any]:
        connection = self._clients[client]
        connection.receive(b"".join([hiredis.pack_command(line) for line in self.packed(commands)]))
        for number, other in self._clients.items():  # whatever is to go out goes out after each turn of the server
            self._readers[number].feed(other.take())
        frames = [_frame(raw) for raw in iter(self._readers[client].gets, _NOTHING)]
        return [*frames, END] if connection.closed else frames

    def pass_time(self) -> None:
        self._now += PASSING

    def expire(self, left: int) -> int:
        del left
        self.server.expire_due()
        return len(self.server.keys)
