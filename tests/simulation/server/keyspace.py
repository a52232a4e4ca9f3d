"""The stored keys, and the time at which the server drops each.

A due key is gone for readers. The server *removes* it, and tells the clients with a copy, only when a command reads it
(lazily) or when ``remove_due`` is called (the active cycle). Every change goes through ``changed``.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Keyspace", "Snapshot", "Stored"]

Place = tuple[int, bytes]
"""Database number and key."""

OVERHEAD = 64
"""Bytes one key costs besides its name and value, for ``maxmemory``; the real ones take about as many."""


@dataclass(frozen=True)
class Stored:
    """A value, a string or a ``frozenset`` for a foreign type, and its due time in ms."""

    value: bytes | frozenset[bytes]
    due: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """All stored keys at one moment."""

    stored: dict[Place, Stored]


class Keyspace:
    """The databases of one server.

    Args:
        clock: The server's own clock, in seconds.
        random: Chooses the keys that the active cycle finds first.
        changed: Called for each key that was written or removed.
        keeps_due: Returns True if due keys are not removed now, although gone for readers: on a replica, or in a pause.
        snapshot: The keys to begin with; keys due by now are left out, as at a real start.

    Attributes:
        on_put: Called for each key that is written, with its new value.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random: random.Random,
        changed: Callable[[bytes], None],
        keeps_due: Callable[[], bool],
        snapshot: Snapshot | None = None,
    ) -> None:
        self._clock, self._random, self._changed, self._keeps_due = clock, random, changed, keeps_due
        self.on_put: Callable[[bytes, Stored], None] | None = None
        self._stored = dict(snapshot.stored) if snapshot is not None else {}
        for place in self._due():
            del self._stored[place]

    def __len__(self) -> int:
        return len(self._stored)

    def now(self) -> int:
        """Return the milliseconds of the server's clock."""
        return int(self._clock() * 1000)

    def get(self, place: Place) -> Stored | None:
        """Read a key; a due one is removed by that."""
        stored = self._stored.get(place)
        if stored is None or not self._is_due(stored):
            return stored
        if not self._keeps_due():
            self.remove(place)
        return None

    def put(self, place: Place, stored: Stored) -> None:
        """Write a key."""
        self.get(place)  # a due key is removed first, and its removal pushed
        self._stored[place] = stored
        self._changed(place[1])
        if self.on_put is not None:
            self.on_put(place[1], stored)

    def delete(self, place: Place) -> bool:
        """Remove a key; return True if it was there, and not due."""
        return self.get(place) is not None and self.remove(place)

    def remove(self, place: Place) -> bool:
        """Remove a key, due or not."""
        del self._stored[place]
        self._changed(place[1])
        return True

    def remove_due(self, limit: int | None) -> int:
        """Remove due keys in random order, as the active cycle does; return the number."""
        due = [] if self._keeps_due() else list(self._due())
        self._random.shuffle(due)
        for place in due[:limit]:
            self.remove(place)
        return len(due[:limit])

    def pick(self, key: bytes | None = None) -> Place | None:
        """Return any place, or any with this key."""
        places = [place for place in self._stored if key is None or place[1] == key]
        return self._random.choice(places) if places else None

    def flush(self, database: int | None) -> None:
        """Empty one database or all, without a push for each key."""
        self._stored = {} if database is None else {at: kept for at, kept in self._stored.items() if at[0] != database}

    def snapshot(self) -> Snapshot:
        """Return a copy of all keys."""
        return Snapshot(dict(self._stored))

    @property
    def size(self) -> int:
        """Return the size in bytes, roughly."""
        return sum(
            OVERHEAD + len(key) + (len(stored.value) if isinstance(stored.value, bytes) else 0)
            for (_, key), stored in self._stored.items()
        )

    def _is_due(self, stored: Stored) -> bool:
        return stored.due is not None and self.now() > stored.due

    def _due(self) -> Iterator[Place]:
        return iter([place for place, stored in self._stored.items() if self._is_due(stored)])
