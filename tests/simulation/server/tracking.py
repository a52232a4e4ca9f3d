"""Who is told of which key, in the default mode of ``CLIENT TRACKING``.

1. A read-only command registers its keys for its client, hit or miss, error or not.
2. A change of a key, by anybody, tells everyone registered, once, and forgets all of them.
3. Who runs the command that changes it is told right after the reply; everybody else at once.
4. A flush tells everyone who tracks, with a null, registered or not.
5. Registrations are by client id: they outlive ``TRACKING OFF``, ``HELLO 2`` and the connection, and are then ignored.
"""

import random
from collections.abc import Iterable, Mapping
from typing import Protocol

__all__ = ["Listener", "Tracking"]


class Listener(Protocol):
    """A client as tracking sees it."""

    tracking: bool
    noloop: bool
    running: bool
    """Whether it is this client's command that the server works on now, from its arrival to its reply."""

    def push(self, key: bytes | None) -> None:
        """Tell it of a key, or with None of all."""
        ...


class Tracking:
    """The table of registrations.

    Args:
        clients: All that are connected, by id.
        random: Which keys go when the table is full.

    Attributes:
        most: Keys in the table; beyond it any are told of and forgotten (``tracking-table-max-keys``).
    """

    def __init__(self, clients: Mapping[int, Listener], random: random.Random) -> None:
        self._clients, self._random = clients, random
        self._holders: dict[bytes, dict[int, None]] = {}
        self._over = 0
        self.most = 1_000_000

    def register(self, client_id: int, keys: Iterable[bytes]) -> None:
        """Note that a client has read keys."""
        for key in keys:
            self._holders.setdefault(key, {})[client_id] = None

    def changed(self, key: bytes) -> None:
        """Tell whoever has read the key."""
        for client_id in self._holders.pop(key, ()):
            client = self._clients.get(client_id)
            if client is not None and client.tracking and not (client.noloop and client.running):
                client.push(key)

    def flushed(self) -> None:
        """Tell everyone that everything is gone."""
        self._holders.clear()
        for client in self._clients.values():
            if client.tracking:
                client.push(None)

    def limit(self) -> None:
        """Before each command: bring the table back under its limit, a hundred keys at a time and ever more."""
        if len(self._holders) <= self.most:
            self._over = 0
            return
        self._over += 1
        for _ in range(100 * self._over):
            self.changed(self._random.choice(list(self._holders)))
            if len(self._holders) <= self.most:
                self._over = 0
                return
