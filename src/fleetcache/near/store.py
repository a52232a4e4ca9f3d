"""The near cache (L1): the entries this process holds in its own memory, bounded by items and by bytes.

The store knows no wire and no clock: the caller judges whether an entry may answer now (fresh, within the horizon,
online). The rules:

1. Writers take turns: all run on one event loop, or under the monitor of threads. Readers take no turn, and may read
   in the middle of a writer's turn: one look-up, the caller's comparisons, one mark::

       held = near.items.get(key)
       if held is not None and now < held.fresh_until and ...:
           if held.freq < 3:
               held.freq += 1  # the mark: ``near.touch(held)`` without the call; one lost in a race does no harm

2. ``items`` is one dict for the store's whole life: ``near.items.get`` may be kept. An entry is complete when it is
   put in and only its marks change afterwards, so a reader sees all of it or none. An entry that ``strike`` expires
   keeps its place, with its times in the past.
3. ``bytes`` never exceeds ``max_bytes`` and ``len`` never ``max_items`` when a call returns. An entry is charged its
   own size and the store's overhead (``ENTRY_BYTES``, its key, its tags by their length). The bytes kept outside the
   store for its entries, ``beside``, count as well.
4. A refused entry is not held, and neither is the entry that it would have replaced.
5. The tag ``*`` means "everything": entries carry it, but it is not indexed, because the index would be a second copy
   of ``items``. Forgetting it looks at every entry.
"""

import sys
from collections.abc import Collection, Iterable
from typing import Any, Final, Protocol

import msgspec

from .s3fifo import MAX_FREQ, S3Fifo

__all__ = ["ENCODED", "ENTRY_BYTES", "EVERYTHING", "MEMBER_BYTES", "TAG_BYTES", "Near", "NearEntry"]

# Stands for the declared type of a payload. No caller declares it, so one comparison of types shows whether a value may
# be handed out as it is.
ENCODED: Final = object()

# The tag that every confirmed entry carries.
EVERYTHING = "*"

# Bytes of an entry besides its value, key and tags: the record, its two times, cost and stamp, its part of the dict,
# its place in a queue. About 300 by tracemalloc, and the allocator rounds each of these objects up to a multiple of 16.
ENTRY_BYTES = 352

# Bytes of a tag other than ``*``, charged once, beyond its text: its set and its line in the index.
TAG_BYTES = 272

# Bytes of such a tag for each entry that carries it, beyond its text: its part of the entry's tuple, and the key's slot
# in the tag's set.
MEMBER_BYTES = 112

# One value must not empty the store: a value larger than this part of ``max_bytes`` (an eighth) is not kept.
_MAX_SHARE = 8

# Shared by all entries with no other tag, which are most: a separate tuple would cost 64 bytes for each.
_ONLY_EVERYTHING = (EVERYTHING,)


class NearEntry(msgspec.Struct, gc=False, eq=False):
    """One entry in the near cache. It belongs to one key; only the marks change after it is put in.

    ``gc=False``: no header for the collector and nothing to traverse, so that a full collection does not take longer
    the more entries there are. Allowed because values are immutable or bytes, and nothing here refers back to near.

    Args:
        value: the object itself, or a payload's bytes, which are decoded at each hit.
        codec: id of the payload's codec; meaningful when ``encoded``.
        declared: the type ``value`` was decoded as; ``ENCODED`` for a payload.
        fresh_until: clock seconds until which the entry is fresh.
        stale_until: clock seconds until which the entry may be served stale; after that it is never served.
        unconfirmed: whether the shared cache has not confirmed the entry, so that the horizon does not apply to it.
        tags: tags the entry carries, ``*`` among them.
        cost: seconds its load took, 0.0 if unknown; for early refresh.
        stamp: the version stamp, 17 bytes that identify the entry on the server; ``b""`` when unconfirmed.
        size: bytes of ``value``: length of the payload, ``sys.getsizeof`` of an object.
        freq: marks of readers, 0 to 3, used up by eviction.
        main: kept by eviction: whether the entry's place is in the main queue.
        span: seconds of freshness the entry had in the near cache when it was stored; less the seconds that are left,
            they are its age.
        also: another type that the value may be handed out as; ``ENCODED`` for none. A scalar or date stored without a
            type is of its own type, too, and a scalar stored with a type is plain data (``Any``), too.
    """

    value: Any
    codec: int
    declared: Any
    fresh_until: float
    stale_until: float
    unconfirmed: bool
    tags: tuple[str, ...]
    cost: float
    stamp: bytes
    size: int
    freq: int = 0
    main: bool = False
    span: float = 0.0
    also: Any = ENCODED

    def __repr__(self) -> str:
        """Describe the entry without its value, which may be a secret."""
        what = "encoded" if self.encoded else "object"
        return (
            f"<NearEntry {what} size={self.size} tags={self.tags} fresh_until={self.fresh_until:.3f} freq={self.freq}>"
        )

    @property
    def encoded(self) -> bool:
        """Whether ``value`` is a payload."""
        return self.declared is ENCODED


class Removal(Protocol):
    """A removal of the entries under these keys and of the entries that carry one of these tags."""

    @property
    def keys(self) -> frozenset[str]: ...
    @property
    def tags(self) -> frozenset[str]: ...


class Near:
    """The bounded in-process store.

    Args:
        max_items: most entries the store holds; 0 or less: none.
        max_bytes: most bytes the store is charged; 0 or less: it holds nothing. An entry whose ``size`` is over an
            eighth of ``max_bytes`` is not held.

    Example:
        >>> near = Near(10_000, 32_000_000)
        >>> held = NearEntry("Bern", codec=0, declared=str, fresh_until=60.0, stale_until=60.0,
        ...             unconfirmed=False, tags=("*",), cost=0.0, stamp=b"V" + bytes(16), size=53)
        >>> near.put("capital:ch", held)
        True
        >>> near.items["capital:ch"].value
        'Bern'
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.evictions = 0
        self._queue: S3Fifo[NearEntry] = S3Fifo(_weigh, max_items, max_bytes)
        self.items: dict[str, NearEntry] = self._queue.items
        self._index: dict[str, set[str]] = {}
        self._index_bytes = 0
        self.beside = 0  # bytes of the tags' versions, which entries are judged by
        self.noted: Collection[Removal] = ()  # removals not done yet: entries that they name are not put in

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return (
            f"<Near {len(self)}/{self.max_items} items, {self.bytes}/{self.max_bytes} bytes, {self.evictions} evicted>"
        )

    @property
    def bytes(self) -> int:
        """Bytes charged: values, keys, the store's cost of each entry, and the tag versions kept outside the store."""
        return self._queue.weight + self._index_bytes + self.beside

    def make_room(self, beside: int) -> None:
        """Set the bytes that are kept outside the store, and evict entries until the bounds hold again."""
        self.beside = beside
        self._evict()

    def touch(self, held: NearEntry) -> None:
        """Mark a hit. The hot path writes these two lines out instead of calling."""
        if held.freq < MAX_FREQ:
            held.freq += 1

    def put(self, key: str, held: NearEntry) -> bool:
        """Hold an entry, replacing an older one, and evict entries until the bounds hold again.

        Args:
            key: the entry's key.
            held: the entry; its ``tags`` may be exchanged for an equal tuple.

        Returns:
            Whether the entry is held now. False when it alone is over the bounds; an older entry under the key is
            dropped in that case as well.
        """
        if held.tags == _ONLY_EVERYTHING:
            held.tags = _ONLY_EVERYTHING
        if self._never_fits(key, held) or (self.noted and self._is_noted(key, held)):
            self._drop(key)
            return False
        old = self._queue.put(key, held)
        if old is None or old.tags != held.tags:
            self._unindex(key, old.tags if old is not None else ())
            self._enter(key, held.tags)
        self._evict()
        return self.items.get(key) is held

    def forget(self, key: str) -> bool:
        """Drop an entry; return whether there was one."""
        return self._drop(key)

    def forget_tag(self, tag: str) -> int:
        """Drop every entry that carries the tag (all confirmed entries carry ``*``); return how many."""
        if tag == EVERYTHING:
            keys = [key for key, held in self.items.items() if EVERYTHING in held.tags]
            # Usually every entry carries it. To drop them one by one would then take ten times as long.
            return self._clear() if len(keys) == len(self.items) else self._drop_all(keys)
        return self._drop_all(list(self._index.get(tag, ())))

    def forget_unconfirmed(self) -> int:
        """Drop every entry that the shared cache did not confirm; return how many.

        This looks at every entry, so it is meant for changes of the link's state.
        """
        return self._drop_all([key for key, held in self.items.items() if held.unconfirmed])

    def clear(self) -> int:
        """Drop every entry, whatever its tags; return how many."""
        return self._clear()

    def sweep(self, now: float, limit: int = 64) -> int:
        """Drop entries that are past their ``stale_until``; return how many. Repeated calls go through all entries.

        Args:
            now: seconds, on the clock of the entries' times.
            limit: entries to look at. The default takes 0.1 ms when all are dropped, which fits between two requests.
        """
        return self._drop_all([key for key, held in self._queue.some(limit) if held.stale_until <= now])

    def strike(self, removal: "Removal") -> None:
        """Expire the entries that the removal names, even in the middle of a writer's turn: none answers any more."""
        struck = [self.items.get(key) for key in removal.keys]
        if removal.tags:
            struck += [held for held in self._all() if not removal.tags.isdisjoint(held.tags)]
        for held in struck:
            if held is not None:
                held.fresh_until = held.stale_until = -float("inf")

    def _all(self) -> list[NearEntry]:
        while True:
            try:
                return list(self.items.values())
            except RuntimeError:  # another thread has put an entry in meanwhile
                continue

    def _is_noted(self, key: str, held: NearEntry) -> bool:
        return any(key in each.keys or not each.tags.isdisjoint(held.tags) for each in list(self.noted))

    def _never_fits(self, key: str, held: NearEntry) -> bool:
        alone = _weigh(key, held)
        if held.tags is not _ONLY_EVERYTHING:
            alone += sum(TAG_BYTES + sys.getsizeof(tag) for tag in held.tags if tag != EVERYTHING)
        return self.max_items < 1 or alone + self.beside > self.max_bytes or held.size > self.max_bytes // _MAX_SHARE

    def _evict(self) -> None:
        while self.items and ((heavy := self.bytes > self.max_bytes) or len(self.items) > self.max_items):
            key, held = self._queue.evict(by_weight=heavy)
            self._unindex(key, held.tags)
            self.evictions += 1

    def _drop(self, key: str) -> bool:
        held = self._queue.remove(key)
        if held is None:
            return False
        self._unindex(key, held.tags)
        return True

    def _drop_all(self, keys: Iterable[str]) -> int:
        return sum(map(self._drop, keys))

    def _clear(self) -> int:
        count = len(self.items)
        self._queue.clear()
        self._index.clear()
        self._index_bytes = 0
        return count

    def _enter(self, key: str, tags: tuple[str, ...]) -> None:
        for tag in tags:
            if tag == EVERYTHING:
                continue
            keys = self._index.get(tag)
            if keys is None:
                keys = self._index[tag] = set()
                self._index_bytes += TAG_BYTES + sys.getsizeof(tag)
            keys.add(key)

    def _unindex(self, key: str, tags: tuple[str, ...]) -> None:
        for tag in tags:
            keys = self._index.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._index[tag]
                    self._index_bytes -= TAG_BYTES + sys.getsizeof(tag)


def _weigh(key: str, held: NearEntry) -> int:
    weight = held.size + sys.getsizeof(key) + ENTRY_BYTES
    if held.tags is not _ONLY_EVERYTHING:
        weight += sum(MEMBER_BYTES + sys.getsizeof(tag) for tag in held.tags if tag != EVERYTHING)
    return weight
