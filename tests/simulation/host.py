"""The server's machine: it accepts, freezes, crashes, and moves bytes between server and network.

The server itself does no I/O: it takes bytes and returns bytes. After each piece of input, all output goes out,
pushes to other clients included.
"""

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import World
from tests.simulation.network import Connection
from tests.simulation.server import Engine, SimServer, Snapshot

__all__ = ["Host"]

RIGHT_SIZE = 17


class Host:
    """One server and its connections.

    Args:
        world: Time and events.
        seed: Seed of the order after a freeze, and of the server's random choices.
        engine: The engine of the server.
        maxmemory: Bytes; above it the server evicts keys.
        noperm: Commands that no user may run.
        expiry_every: Seconds between the server's own searches for due keys; 0 = it never searches.
    """

    def __init__(
        self, world: World, seed: int, *, engine: Engine, maxmemory: int | None, noperm: list[str], expiry_every: float
    ) -> None:
        self.world, self.random = world, random.Random(seed)
        self.clock_step = 0.0
        self.server = SimServer(lambda: world.now + self.clock_step, self.random, maxmemory=maxmemory, engine=engine)
        self.server.state.noperm = frozenset(noperm)
        self.listening = True
        self.frozen = False
        self.on_put: Callable[[bytes, Any], None] | None = None  # called for each stored value
        self.heard: dict[str, float] = {}  # by process, the time of its last bytes
        self._connections: list[Connection] = []
        self._backlog: list[tuple[Connection, bytes]] = []
        self._leaving: list[Connection] = []
        if expiry_every > 0:
            world.later(expiry_every, self._expire, expiry_every)

    def _expire(self, every: float) -> None:
        if self.listening and not self.frozen:
            self.server.expire_due(20)
            self.flush()
        self.world.later(every * (0.5 + self.random.random()), self._expire, every)

    # -- bytes -----------------------------------------------------------------------------------------------------

    def accept(self, connection: Connection) -> Any:
        """Accept a connection and return the server's end of it."""
        self._connections.append(connection)
        return self.server.connect()

    def received(self, connection: Connection, data: bytes) -> None:
        """Take bytes that have arrived on this machine."""
        if connection not in self._connections:
            return
        if self.frozen:
            self._backlog.append((connection, data))
            return
        if connection.ear is not None:
            connection.ear.asked(data)
        self.heard[connection.owner.name] = self.world.now
        connection.client.receive(data)
        self.flush()

    def left(self, connection: Connection) -> None:
        """Note that the other end has closed."""
        if self.frozen:
            self._leaving.append(connection)
        elif connection in self._connections:
            self._connections.remove(connection)
            connection.client.drop()

    def flush(self) -> None:
        """Send the server's output to each client."""
        gone = False
        for connection in self._connections:
            out = connection.client.take()
            if out:
                if connection.ear is not None:
                    connection.ear.answered(out)
                connection.down.send(out)
            gone = gone or connection.client.closed
        if gone:
            for connection in [connection for connection in self._connections if connection.client.closed]:
                self._connections.remove(connection)
                connection.closed_by_server()

    # -- faults ----------------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Do nothing, while the kernel goes on taking bytes."""
        self.frozen = True

    def thaw(self) -> None:
        """Run the commands that have piled up, in order for each connection."""
        self.frozen = False
        backlog, self._backlog = self._backlog, []
        queues: dict[Connection, list[bytes]] = {}
        for connection, data in backlog:
            queues.setdefault(connection, []).append(data)
        while queues:
            connection = self.random.choice(list(queues))
            self.received(connection, b"".join(queues.pop(connection)))
        leaving, self._leaving = self._leaving, []
        for connection in leaving:
            self.left(connection)

    def crash(self, *, silent: bool) -> None:
        """End the server; ``silent``: with its machine, so that no client is told."""
        self.listening = False
        self.frozen = False
        self._backlog.clear()
        self._leaving.clear()
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.client.drop()
            if silent:
                connection.up.dead = connection.down.dead = True
            else:
                connection.cut()

    def restart(self, snapshot: Snapshot | None) -> None:
        """Start the server again, with these data."""
        self.server.restart(snapshot)
        self.watch(self.on_put)
        self.listening = True

    def watch(self, on_put: Callable[[bytes, Any], None] | None) -> None:
        """Call ``on_put`` for each stored value, in this life of the server and the next."""
        self.on_put = self.server.keys.on_put = on_put

    def go_on(self) -> None:
        """Run the commands that waited for the end of a pause."""
        self.server.go_on()
        self.flush()

    def evict(self, kind: str) -> str | None:
        """Evict one key of a kind, and return it."""
        prefix = f"fc:{kind}:".encode()
        keys = [key for key in self.names() if key.startswith(prefix)]
        if not keys:
            return None
        key = self.random.choice(keys)
        self.server.evict(key)
        self.flush()
        return key.decode()

    def untrack(self, kind: str) -> None:
        """Push a key of a kind to its readers, and forget them, as the server does when its tracking table is full."""
        prefix = f"fc:{kind}:".encode()
        keys = [key for key in self.names() if key.startswith(prefix)]
        if keys:
            self.server.tracking.changed(self.random.choice(keys))
            self.flush()

    def names(self) -> list[bytes]:
        """Return the stored keys, due or not."""
        return [key for _, key in self.server.snapshot().stored]

    def write(self, key: bytes, value: bytes) -> None:
        """Write a key as another client."""
        client = self.server.connect()
        client.receive(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value))
        client.drop()
        self.flush()

    def rights(self) -> list[str]:
        """Return the leases and claims that have a holder."""
        self.server.expire_due()
        self.flush()
        stored = self.server.snapshot().stored.items()
        return [key.decode() for (_, key), it in stored if _is_claim(key, it) or _is_lease(key, it)]


def _is_claim(key: bytes, stored: Any) -> bool:
    """Return True for a claim, False for the mark of a failed load."""
    return key.startswith(b"fc:c:") and not stored.value.startswith(b"F")


def _is_lease(key: bytes, stored: Any) -> bool:
    """Return True for a placeholder of the cache, False for another client's bytes."""
    value = stored.value
    return key.startswith(b"fc:e:") and stored.due is not None and len(value) == RIGHT_SIZE and value[:1] == b"L"
