"""What the server holds, and when it lets go of it.

A key that is due is gone for whoever looks, but it is *removed*, and those who hold a copy are told, only when somebody
looks (lazily) or when ``remove_due`` is called (the active cycle). Every change goes through ``changed``.
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
    """A value, a string or a ``frozenset`` for a foreign type, and when it is due in ms."""

    value: bytes | frozenset[bytes]
    due: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything that was stored at one moment."""

    stored: dict[Place, Stored]


class Keyspace:
    """The databases of one server.

    Args:
        clock: The server's own clock, in seconds.
        random: Decides which keys the active cycle finds first.
        changed: Told of each key that was written or removed.
        keeps_due: Whether due keys are not removed now, although gone for readers: on a replica, or in a pause.
        snapshot: What to begin with; what is due by now is left out, as at a real start.

    Attributes:
        on_put: Told of each key that is written, with what stands there then.
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
        """Milliseconds by the server's clock."""
        return int(self._clock() * 1000)

    def get(self, place: Place) -> Stored | None:
        """Look at a key; a due one is removed by that."""
        stored = self._stored.get(place)
        if stored is None or not self._is_due(stored):
            return stored
        if not self._keeps_due():
            self.remove(place)
        return None

    def put(self, place: Place, stored: Stored) -> None:
        """Write a key."""
        self.get(place)  # one that is due is removed first, and told of
        self._stored[place] = stored
        self._changed(place[1])
        if self.on_put is not None:
            self.on_put(place[1], stored)

    def delete(self, place: Place) -> bool:
        """Remove a key; whether it was there, and not due."""
        return self.get(place) is not None and self.remove(place)

    def remove(self, place: Place) -> bool:
        """Remove a key, due or not."""
        del self._stored[place]
        self._changed(place[1])
        return True

    def remove_due(self, limit: int | None) -> int:
        """Remove keys that are due, as the active cycle does: in no order. Returns how many."""
        due = [] if self._keeps_due() else list(self._due())
        self._random.shuffle(due)
        for place in due[:limit]:
            self.remove(place)
        return len(due[:limit])

    def pick(self, key: bytes | None = None) -> Place | None:
        """Any place, or any that has this key."""
        places = [place for place in self._stored if key is None or place[1] == key]
        return self._random.choice(places) if places else None

    def flush(self, database: int | None) -> None:
        """Empty one database or all. Nobody is told key by key."""
        self._stored = {} if database is None else {at: kept for at, kept in self._stored.items() if at[0] != database}

    def snapshot(self) -> Snapshot:
        """Return what is stored now."""
        return Snapshot(dict(self._stored))

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return sum(
            OVERHEAD + len(key) + (len(stored.value) if isinstance(stored.value, bytes) else 0)
            for (_, key), stored in self._stored.items()
        )

    def _is_due(self, stored: Stored) -> bool:
        return stored.due is not None and self.now() > stored.due

    def _due(self) -> Iterator[Place]:
        return iter([place for place, stored in self._stored.items() if self._is_due(stored)])
