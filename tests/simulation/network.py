"""The network between the fleet and its server: connections whose bytes take time, come in pieces, or never come.

Rules:

1. Bytes of one direction of one connection arrive in order, in pieces cut anywhere; nothing else is promised.
2. A *held* direction keeps the bytes sent (the kernel goes on trying) and delivers them when it heals. Neither end is
   told.
3. A cut delivers some of the bytes under way, to the byte, and then a reset.
4. An aborted connection with linger 0 drops the kept bytes and sends a reset, which a held direction loses: the server
   then still has the connection. Without linger the kernel goes on, and the bytes arrive when the network heals.
5. ``late`` bytes of an aborted connection are those a router kept: they arrive seconds after the abort.
"""

import asyncio
import os
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import SimLoop, World

__all__ = ["Connection", "Network", "Transport"]

# Seconds between two tries of the kernel after several in vain.
RETRANSMISSION = 4.0
RESET_AT_ONCE = struct.pack("ii", 1, 0)

# Two descriptors for the wire's own poll of the socket: one that is always readable, one that never is.
_READABLE, _filled = os.pipe()
os.write(_filled, b"!")
_SILENT, _unfilled = os.pipe()


class _Socket:
    """The parts of a socket that the wire uses."""

    def __init__(self, transport: "Transport") -> None:
        self._transport = transport
        self.linger: bytes | None = None
        self.given_away = False  # the process may close the descriptor by its number

    def fileno(self) -> int:
        if self._transport.is_closing():
            return -1
        if self.given_away:
            self._transport.closed_by_number(at_once=self.linger == RESET_AT_ONCE)
            return os.dup(_SILENT)
        return _READABLE if self._transport.arrived else _SILENT

    def setsockopt(self, _level: int, option: int, value: bytes) -> None:
        if option == socket.SO_LINGER:
            self.linger = value


class Transport(asyncio.Transport):
    """The process's end of a connection."""

    def __init__(self, loop: SimLoop, protocol: asyncio.BufferedProtocol, connection: "Connection") -> None:
        super().__init__()
        self._loop, self._protocol, self._connection = loop, protocol, connection
        self._socket = _Socket(self)
        self._closing = False
        self._reading = False
        self.arrived: list[bytes] = []
        self._end: tuple[Exception | None] | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def give_away(self) -> None:
        """Note that the loop is closed: the process may close the descriptor by its number."""
        self._socket.given_away = not self._closing

    def closed_by_number(self, *, at_once: bool) -> None:
        """Close the descriptor, without the loop."""
        self._closing = True
        self._connection.aborted(at_once=at_once)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        if not self._closing and not self._loop.dead:
            self._connection.up.send(bytes(data))

    def abort(self) -> None:
        if not self._closing and not self._loop.dead:
            self._closing = True
            self._connection.aborted(at_once=self._socket.linger == RESET_AT_ONCE)
            self._loop.call_soon(self._protocol.connection_lost, None)

    def close(self) -> None:
        self.abort()

    # -- from the network ------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Put bytes into the kernel's buffer; the loop reads all of them in its next turn."""
        if not self._closing:
            self.arrived.append(data)
            self._wake()

    def ended(self, error: Exception | None) -> None:
        """Note that the other side is gone."""
        if not self._closing:
            self._end = (error,)
            self._wake()

    def _wake(self) -> None:
        if not self._reading and not self._loop.dead:
            self._reading = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._reading = False
        if self._closing:
            return
        if self.arrived:
            data = b"".join(self.arrived)
            self.arrived.clear()
            while data:
                buffer = memoryview(self._protocol.get_buffer(-1))
                size = min(len(buffer), len(data))
                buffer[:size] = data[:size]
                self._protocol.buffer_updated(size)
                data = data[size:]
            if self._end is not None:
                self._wake()
        elif self._end is not None:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, self._end[0])


class Direction:
    """One direction of one connection."""

    def __init__(self, network: "Network", latency: float, deliver: Callable[[bytes], None]) -> None:
        self._network, self._world, self._latency, self._deliver = network, network.world, latency, deliver
        self.extra = 0.0  # seconds of a slow phase
        self.held = False
        self.dead = False
        self._events: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()  # in the order of their sending
        self._kept = 0  # how many of them a black hole keeps
        self._last = 0.0
        self.under_way: list[bytes] = []

    def _delay(self) -> float:
        draw = self._network.random
        delay = self._latency * (0.5 + draw.random())
        if draw.random() < 0.03:
            delay += 0.02 * draw.random()
        return delay + self.extra * (0.5 + draw.random() / 2) if self.extra else delay

    def send(self, data: bytes) -> None:
        """Send bytes, in one piece or two."""
        draw = self._network.random
        if len(data) > 1 and draw.random() < self._network.cut_chance:
            at = 1 + int(draw.random() * (len(data) - 1))
            self._send(data[:at])
            data = data[at:]
        self._send(data)

    def _send(self, piece: bytes) -> None:
        if not self.dead:
            self.under_way.append(piece)
            self.then(self._arrive, piece)

    def then(self, happen: Callable[..., None], *args: Any) -> None:
        """Let an event arrive after all bytes sent before it."""
        self._events.append((happen, args))
        if self.held:
            self._kept += 1
        else:
            self._go()

    def _go(self) -> None:
        self._last = max(self._last, self._world.now + self._delay())
        self._world.at(self._last, self._pass)

    def _pass(self) -> None:
        """Let the first event arrive, which may have been sent before the one whose time has come."""
        if self.held:
            self._kept += 1
        elif self._events:
            happen, args = self._events.popleft()
            happen(*args)

    def _arrive(self, piece: bytes) -> None:
        if not self.dead:
            self.under_way.pop(0)
            self._deliver(piece)

    def heal(self, patience: float = 0.0) -> None:
        """Send the kept bytes again, up to this many seconds later: the kernel tries at growing pauses."""
        self.held = False
        kept, self._kept = self._kept, 0
        self._last = max(self._last, self._world.now + patience * self._network.random.random())
        for _ in range(kept):
            self._go()

    def drop_kept(self) -> None:
        """Drop the bytes that the kernel could not deliver, and those behind them."""
        self._events.clear()
        self.under_way.clear()
        self._kept = 0

    def cut(self) -> None:
        """Deliver some of the bytes under way, then nothing more."""
        data = b"".join(self.under_way)
        self.under_way.clear()
        self.dead = True
        part = data[: int(self._network.random.random() * (len(data) + 1))]
        if part:
            self._deliver(part)

    def delay_all(self, seconds: float) -> None:
        """Delay all bytes under way by this many seconds, as a router does."""
        data = b"".join(self.under_way)
        self.under_way.clear()
        self.dead = True
        if data:
            self._world.later(seconds, self._deliver, data)


class Connection:
    """A process's connection to the server."""

    def __init__(self, network: "Network", loop: SimLoop, protocol: asyncio.BufferedProtocol) -> None:
        draw = network.random
        latency = network.latency * (0.5 + draw.random())
        self.network, self.owner = network, loop
        self.transport = Transport(loop, protocol, self)
        self.up = Direction(network, latency, self._at_server)
        self.down = Direction(network, latency, self.transport.receive)
        self.client: Any = None  # the server's end
        self.ear: Any = network.ear(loop.name) if network.ear is not None else None
        self.closed_there = False
        self.late = False  # its bytes under way at an abort come late

    def opened(self) -> None:
        """Note that the server has accepted."""
        self.client = self.network.host.accept(self)

    def _at_server(self, data: bytes) -> None:
        self.network.host.received(self, data)

    def aborted(self, *, at_once: bool) -> None:
        """Note that the process has aborted the connection."""
        self.down.dead = True
        if not at_once:
            self.up.then(self.gone_at_server)
        elif self.up.held:
            self.up.drop_kept()  # and the reset is lost: the server keeps the connection
        elif self.late:
            self.up.delay_all(self.network.lateness())
        else:
            self.up.then(self.gone_at_server)

    def gone_at_server(self) -> None:
        """Tell the server that the process is gone."""
        self.up.dead = True
        if self.owner.dead:
            self.network.on_last_bytes()
        self.network.host.left(self)

    def open_here(self) -> bool:
        """Return True if the process lives and has not closed the connection."""
        return not (self.owner.dead or self.transport.is_closing())

    def cut(self) -> None:
        """Reset the connection from somewhere between, at both sides."""
        self.up.cut()
        self.down.cut()
        self.transport.ended(ConnectionResetError("reset by the network"))
        self.network.host.left(self)

    def closed_by_server(self) -> None:
        """Note that the server has closed its end."""
        if not self.closed_there:
            self.closed_there = True
            self.down.then(self.transport.ended, None)


class Network:
    """All connections.

    Args:
        world: Time and events.
        seed: Seed of delays and cuts.
        host: The server's machine.
        latency: Usual seconds one way.
        cut_chance: The share of writes that arrive in two pieces.
    """

    def __init__(self, world: World, seed: int, host: Any, *, latency: float, cut_chance: float) -> None:
        self.world, self.host, self.latency, self.cut_chance = world, host, latency, cut_chance
        self.random = random.Random(seed)
        self.connections: list[Connection] = []
        self.held: dict[str, tuple[bool, bool]] = {}  # by process: up, down
        self.slow: dict[str, float] = {}
        self.late: set[str] = set()
        self.ear: Callable[[str], Any] | None = None  # listens to new connections
        self.on_last_bytes: Callable[[], None] = lambda: None  # those of a dead process have arrived at the server

    def lateness(self) -> float:
        """Return how long a router keeps late bytes."""
        return 0.2 + 6 * self.random.random()

    async def connect(self, loop: SimLoop, factory: Callable[[], asyncio.BufferedProtocol]) -> Any:
        """Open a connection from a process."""
        protocol = factory()
        connection = Connection(self, loop, protocol)
        self._shape(connection)
        done = loop.create_future()
        connection.up.then(self._wake, connection, done)
        try:
            await done
        except BaseException:
            connection.transport.abort()
            raise
        protocol.connection_made(connection.transport)
        return connection.transport, protocol

    def _wake(self, connection: Connection, done: "asyncio.Future[None]") -> None:
        if not self.host.listening:
            connection.down.then(_fail, done, ConnectionRefusedError("nobody listens"))
            return
        self.connections.append(connection)
        connection.opened()
        connection.down.then(_open, done)

    def _shape(self, connection: Connection) -> None:
        name = connection.owner.name
        connection.up.held, connection.down.held = self.held.get(name, (False, False))
        connection.up.extra = connection.down.extra = self.slow.get(name, 0.0)
        connection.late = name in self.late

    def of(self, name: str) -> list[Connection]:
        """Return the connections of one process, old ones too."""
        return [connection for connection in self.connections if connection.owner.name == name]

    def alive(self, loop: SimLoop) -> bool:
        """Return True if bytes of this process may still reach the server."""
        return any(one.owner is loop and not one.up.dead for one in self.connections)

    def hold(self, name: str, *, up: bool, down: bool) -> None:
        """Begin a black hole, or half of one; a held direction stays held, so that no byte overtakes a kept one."""
        already_up, already_down = self.held.get(name, (False, False))
        self.held[name] = (up or already_up, down or already_down)
        for connection in self.of(name):
            connection.up.held, connection.down.held = self.held[name]

    def heal(self, name: str) -> None:
        """End the black hole."""
        self.held.pop(name, None)
        for connection in self.of(name):
            connection.up.heal(0.0 if connection.open_here() else RETRANSMISSION)
            connection.down.heal()

    def slow_down(self, name: str, extra: float) -> None:
        """Slow this process's bytes down by ``extra`` seconds; 0 ends it."""
        self.slow[name] = extra
        for connection in self.of(name):
            connection.up.extra = connection.down.extra = extra

    def keep_late(self, name: str, *, on: bool) -> None:
        """Let the bytes under way on an aborted connection of this process come late, or no longer."""
        (self.late.add if on else self.late.discard)(name)
        for connection in self.of(name):
            connection.late = on


def _open(done: "asyncio.Future[None]") -> None:
    if not done.done() and not done.get_loop().is_closed():
        done.set_result(None)


def _fail(done: "asyncio.Future[None]", error: Exception) -> None:
    if not done.done() and not done.get_loop().is_closed():
        done.set_exception(error)
