"""Eviction from a full near cache: S3-FIFO, a queue that a scan of one-time keys cannot empty.

A new key enters a small queue. It moves to the main queue only if it is asked for again and again before its turn
comes, so short-lived keys evict only one another. The rules:

1. A key has at most one place, in ``small`` or in ``main``. A reader marks a hit (``freq``) and never moves an entry.
2. The small queue evicts while it is over its share of the bound that is exceeded, else the main queue does.
3. At its turn an entry with enough marks is spared: from small it moves to the end of main and loses its marks; in
   main it goes to the end again for one mark. An entry with fewer marks is evicted.
4. A key evicted from small is remembered by its hash for a while: if it is asked for again, it enters main at once.
5. A forgotten key leaves its place vacant. If it is loaded again before the place's turn comes, it takes the place
   again, marked: a hot key that is invalidated does not start over.
6. No step grows with the number of entries: vacant places are taken out by a walk, a few places at a time.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic, Protocol, TypeVar

__all__ = ["GHOST_SHARE", "MAX_FREQ", "PATIENCE", "PROMOTE", "SMALL_SHARE", "Marked", "S3Fifo"]

# Share of the bound that new keys may hold. 5 and 10 % lose on small caches (docs/near.md has the table).
SMALL_SHARE = 0.20

# Marks that earn a place in main. One mark does as well on the traces, but an application that asks for each key twice
# in a row (once per layer of a request) would then carry every key of a scan into main.
PROMOTE = 2

# Readers mark up to this: ``if held.freq < 3: held.freq += 1``. With a single bit every trace loses.
MAX_FREQ = 3

# Keys evicted from small that are remembered, as a share of the entries held. Half this share loses, twice
# this share wins nothing.
GHOST_SHARE = 1.0

# The most entries that one eviction spares. Otherwise a request could walk through a whole store of marked entries in
# one go; with this bound a put stays under some tens of microseconds.
PATIENCE = 64

# While there are more vacant places than an eighth of the entries, each forgotten key walks past this many places and
# takes out the vacant ones. A ninth of all places is vacant then, so a walk takes out more than the one that was added.
_VACANT_SHARE, _WALK = 8, 12

# Dicts that share the keys of vacant places.
_PARTS = 16

# This minimum of vacant places spares small stores the work.
_MIN_VACANT = 64


class Marked(Protocol):
    """The attributes that the queue needs on an entry."""

    freq: int
    main: bool


E = TypeVar("E", bound=Marked)


class _Vacancies:
    """The keys of vacant places, and whether each place is in main.

    They are spread over several dicts: a dict of 50,000 keys stops a loop for a millisecond whenever it grows.
    """

    __slots__ = ("count", "parts")

    def __init__(self) -> None:
        self.parts: list[dict[str, bool]] = [{} for _ in range(_PARTS)]
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        return chain(*self.parts)

    def add(self, key: str, *, main: bool) -> None:
        """Note that the place of a key that had an entry is vacant."""
        self.parts[hash(key) % _PARTS][key] = main
        self.count += 1

    def pop(self, key: str) -> bool | None:
        """Take the key out and return whether its place is in main; ``None`` if it has no vacant place."""
        main = self.parts[hash(key) % _PARTS].pop(key, None)
        if main is not None:
            self.count -= 1
        return main


class _Line:
    """A queue of places, and a walk along it: ``passed`` is its front, which the walk has been through.

    Attributes:
        append: Adds a place at the end.
    """

    __slots__ = ("ahead", "append", "passed")

    def __init__(self) -> None:
        self.passed: deque[str] = deque()
        self.ahead: deque[str] = deque()
        self.append = self.ahead.append

    def __len__(self) -> int:
        return len(self.passed) + len(self.ahead)

    def __iter__(self) -> Iterator[str]:
        return chain(self.passed, self.ahead)

    def popleft(self) -> str:
        """Take out the place whose turn it is."""
        return (self.passed or self.ahead).popleft()

    def start_walk(self) -> None:
        """Start at the front again; nothing is ahead of the walk."""
        self.passed, self.ahead = self.ahead, self.passed
        self.append = self.ahead.append


class S3Fifo(Generic[E]):
    """A dict whose entries leave in the order of S3-FIFO. It has no lock: writers hold the caller's, readers need none.

    Args:
        weigh: returns the weight of an entry in the unit of ``max_weight``; constant as long as the entry is held.
        max_items: bound of the number of entries, which sets the small queue's share. The caller evicts.
        max_weight: bound of the sum of weights, likewise.
        small_share: share of a bound that the small queue may hold.
        ghost_share: room for keys remembered after eviction, as a share of the entries held.
        promote: marks from which an entry moves from small to main.
    """

    def __init__(
        self,
        weigh: Callable[[str, E], int],
        max_items: int,
        max_weight: int,
        *,
        small_share: float = SMALL_SHARE,
        ghost_share: float = GHOST_SHARE,
        promote: int = PROMOTE,
    ) -> None:
        self.items: dict[str, E] = {}
        self.count = self.weight = 0
        self._weigh = weigh
        self._small_items = max(1, round(max_items * small_share))
        self._small_max_weight = max_weight * small_share
        self._promote = promote
        self._ghosts = _Ghosts(ghost_share)
        self._start()

    def _start(self) -> None:
        self._small, self._main = _Line(), _Line()
        self._small_count = self._small_weight = 0
        self._vacant = _Vacancies()

    def put(self, key: str, entry: E) -> E | None:
        """Hold an entry and return the one it replaces, if any. A replaced or forgotten key keeps its place."""
        old = self.items.get(key)
        if old is not None:
            self._account(key, old, -1)
            entry.main, entry.freq = old.main, old.freq
        elif (main := self._vacant.pop(key)) is not None:
            entry.main, entry.freq = main, self._promote
        else:
            entry.main, entry.freq = self._ghosts.take(key), 0
            (self._main if entry.main else self._small).append(key)
        self.items[key] = entry
        self._account(key, entry, +1)
        return old

    def remove(self, key: str) -> E | None:
        """Remove an entry before its turn and return it; its place stays vacant until its turn comes."""
        entry = self.items.pop(key, None)
        if entry is not None:
            self._account(key, entry, -1)
            self._vacant.add(key, main=entry.main)
            if self._vacant.count > self.count // _VACANT_SHARE + _MIN_VACANT:
                self.walk(_WALK)
        return entry

    def evict(self, *, by_weight: bool) -> tuple[str, E]:
        """Evict the entry whose turn it is, and return it with its key. The queue must not be empty.

        Args:
            by_weight: whether the bound of weights is exceeded, not that of items.
        """
        spared = 0
        while True:
            key = self._queue_to_cut(by_weight=by_weight).popleft()
            entry = self.items.get(key)
            if entry is None:
                self._vacant.pop(key)
            elif spared < PATIENCE and entry.freq >= (1 if entry.main else self._promote):
                self._spare(key, entry)
                spared += 1
            else:
                del self.items[key]
                self._account(key, entry, -1)
                if not entry.main:
                    self._ghosts.add(key, self.count)
                return key, entry

    def walk(self, steps: int) -> list[str]:
        """Walk on past up to ``steps`` places and take out the vacant ones; return the keys of the others.

        Repeated calls go through all places.
        """
        if not self._small.ahead and not self._main.ahead:
            self._small.start_walk()
            self._main.start_walk()
        found = []
        vacant = self._vacant
        for line in (self._small, self._main):
            ahead, passed = line.ahead, line.passed
            here = min(steps, len(ahead))
            steps -= here
            for _ in range(here):
                key = ahead.popleft()
                if vacant.pop(key) is None:
                    passed.append(key)
                    found.append(key)
        return found

    def clear(self) -> None:
        """Remove every entry, and the memory of evicted keys too."""
        self.items.clear()
        self.leave()

    def leave(self) -> "tuple[list[deque[str]], list[dict[str, bool]]]":
        """Start over without entries and without the memory of evicted keys. ``items`` stays as it is.

        Returns:
            The places of the entries that were held, and dicts of those that are vacant. The caller takes the entries
            out of ``items`` little by little.
        """
        small, main, vacant = self._small, self._main, self._vacant
        self._start()
        self._ghosts.clear()
        self.count = self.weight = 0
        return [small.passed, small.ahead, main.passed, main.ahead], vacant.parts

    def _queue_to_cut(self, *, by_weight: bool) -> _Line:
        if self._small_count == self.count:
            return self._small
        # The last entry of small stays: it may be the one just put in, and heavier than all of small's share.
        over = self._small_weight > self._small_max_weight if by_weight else self._small_count > self._small_items
        return self._small if over and self._small_count > 1 else self._main

    def _spare(self, key: str, entry: E) -> None:
        if entry.main:
            entry.freq -= 1
        else:
            self._account(key, entry, -1)
            entry.main, entry.freq = True, 0
            self._account(key, entry, +1)
        self._main.append(key)

    def _account(self, key: str, entry: E, sign: int) -> None:
        weight = sign * self._weigh(key, entry)
        self.weight += weight
        self.count += sign
        if not entry.main:
            self._small_count += sign
            self._small_weight += weight


class _Ghosts:
    """Fingerprints of evicted keys, four bytes each: a slot per hash, where a newer key overwrites an older one."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._prints = array("I", [0])

    def add(self, key: str, held: int) -> None:
        """Remember a key. If the entries held need over twice the slots, an empty memory of that size replaces it."""
        slots = round(held * self._share)
        if slots > 2 * len(self._prints):
            self._prints = array("I", bytes(slots * self._prints.itemsize))
        slot, fingerprint = self._find(key)
        self._prints[slot] = fingerprint

    def take(self, key: str) -> bool:
        """Return whether the key was evicted recently, and forget it."""
        slot, fingerprint = self._find(key)
        known = self._prints[slot] == fingerprint
        if known:
            self._prints[slot] = 0
        return known

    def clear(self) -> None:
        self._prints = array("I", [0])

    def _find(self, key: str) -> tuple[int, int]:
        number, slot = divmod(hash(key), len(self._prints))
        return slot, number & 0xFFFFFFFF or 1  # 0 is an empty slot
