"""The registrations of ``CLIENT TRACKING`` in its default mode: which client gets a push for which key.

1. A read-only command registers its keys for its client, hit or miss, error or not.
2. A change of a key, by any client, is pushed to each registered client, once, and removes the registrations.
3. The client whose command changes the key gets its push right after the reply; all other clients at once.
4. A flush is pushed to each tracking client, with a null, registered or not.
5. Registrations are by client id: they outlive ``TRACKING OFF``, ``HELLO 2`` and the connection, and are then ignored.
"""

import random
from collections.abc import Iterable, Mapping
from typing import Protocol

__all__ = ["Listener", "Tracking"]


class Listener(Protocol):
    """A client, as far as tracking uses it."""

    tracking: bool
    noloop: bool
    running: bool
    """Whether it is this client's command that the server works on now, from its arrival to its reply."""

    def push(self, key: bytes | None) -> None:
        """Push a key, or None for all keys, to the client."""
        ...


class Tracking:
    """The table of registrations.

    Args:
        clients: The connected clients, by id.
        random: Chooses the keys that go when the table is full.

    Attributes:
        most: Most keys in the table; above it any are pushed and dropped (``tracking-table-max-keys``).
    """

    def __init__(self, clients: Mapping[int, Listener], random: random.Random) -> None:
        self._clients, self._random = clients, random
        self._holders: dict[bytes, dict[int, None]] = {}
        self._over = 0
        self.most = 1_000_000

    def __len__(self) -> int:
        return len(self._holders)

    def register(self, client_id: int, keys: Iterable[bytes]) -> None:
        """Note that a client has read keys."""
        for key in keys:
            self._holders.setdefault(key, {})[client_id] = None

    def changed(self, key: bytes) -> None:
        """Push the key to each client that has read it."""
        for client_id in self._holders.pop(key, ()):
            client = self._clients.get(client_id)
            if client is not None and client.tracking and not (client.noloop and client.running):
                client.push(key)

    def flushed(self) -> None:
        """Push to each tracking client that all keys are gone."""
        self._holders.clear()
        for client in self._clients.values():
            if client.tracking:
                client.push(None)

    def limit(self) -> None:
        """Before each command: shrink the table below its limit, a hundred keys at a time and ever more."""
        if len(self._holders) <= self.most:
            self._over = 0
            return
        self._over += 1
        for _ in range(100 * self._over):
            self.changed(self._random.choice(list(self._holders)))
            if len(self._holders) <= self.most:
                self._over = 0
                return
