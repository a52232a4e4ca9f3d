"""The near cache (L1): the entries this process holds in its own memory, bounded by items and by bytes.

The store knows no wire and no clock: the caller judges whether an entry may answer now (fresh, trusted). The rules:

1. Writers take turns: all run on one event loop, or under the monitor of threads. Readers take no turn, and may read
   in the middle of a writer's turn: one look-up, the caller's comparisons, one mark::

       held = near.items.get(key)
       if held is not None and held.fresh_until > now and held.generation.until > now:
           if held.freq < 3:
               held.freq += 1  # the mark: ``near.touch(held)`` without the call; one lost in a race does no harm

2. ``items`` is one dict for the store's whole life: ``near.items.get`` may be kept. An entry is complete when it is
   put in. Only its marks, its generation and, once it has ended, its times change afterwards, so a reader sees all of
   it or none. An entry that ``strike`` expires keeps its place.
3. ``bytes`` never exceeds ``max_bytes`` and ``len`` never ``max_items`` when a call returns. An entry is charged its
   own size and the store's overhead (``ENTRY_BYTES``, its key, its tags by their length). The bytes kept outside the
   store for its entries, ``beside``, count as well.
4. A refused entry is not held, and neither is the entry that it would have replaced.
5. The tag ``*`` means "everything": each entry carries it, but it is not indexed, because the index would be a second
   copy of ``items``. To forget it is to forget all entries.
6. A removal of many entries ends their generations (``generations``) and leaves them in ``items``, dead, until they are
   buried (``graveyard``). So a reader of ``items`` compares ``generation.until``, or asks ``lives``, or uses ``living``
   instead; it compares an entry's times after that.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

import msgspec

from .generations import CLOSED, EVERYTHING, UNBORN, UNCONFIRMED, Generations
from .graveyard import Grave, Graveyard
from .s3fifo import MAX_FREQ, PATIENCE, S3Fifo
from .tag_index import MEMBER_BYTES, TAG_BYTES, TagIndex

__all__ = ["ENCODED", "ENTRY_BYTES", "EVERYTHING", "MEMBER_BYTES", "TAG_BYTES", "Near", "NearEntry"]

# Stands for the declared type of a payload. No caller declares it, so one comparison of types shows whether a value may
# be handed out as it is.
ENCODED: Final = object()

# Bytes of an entry besides its value, key and tags: the record, its two times, cost and stamp, its part of the dict,
# its place in a queue. About 310 by tracemalloc, and the allocator rounds each of these objects up to a multiple of 16.
ENTRY_BYTES = 352

# One value must not empty the store: a value larger than this part of ``max_bytes`` (an eighth) is not kept.
_MAX_SHARE = 8

# While entries are dead, each put buries this many: the dead are gone before as many entries have come.
_PUT_BURIES = 4

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
        generation: kept by the store: says until when the entry may answer, however long its own life is.
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
    generation: Any = UNBORN

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
        alone: whether there is no shared cache that confirms entries, so that none is ever forgotten for lack of that.

    Attributes:
        on_dead: called when a removal has left dead entries to be buried.

    Example:
        >>> near = Near(10_000, 32_000_000)
        >>> held = NearEntry("Bern", codec=0, declared=str, fresh_until=60.0, stale_until=60.0,
        ...             unconfirmed=False, tags=("*",), cost=0.0, stamp=b"V" + bytes(16), size=53)
        >>> near.put("capital:ch", held)
        True
        >>> near.items["capital:ch"].value
        'Bern'
    """

    # Entries of a tag that go at once, in about 0.3 ms; more end with their generation. Where there are no more than
    # four times as many in all, everything goes at once.
    AT_ONCE = 128

    def __init__(self, max_items: int, max_bytes: int, *, alone: bool = False) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.evictions = 0
        self.on_dead: Callable[[], None] = _nothing
        self._alone = alone
        self._queue: S3Fifo[NearEntry] = S3Fifo(_weigh, max_items, max_bytes)
        self.items: dict[str, NearEntry] = self._queue.items
        self._index = TagIndex()
        self._generations = Generations()
        self._graveyard = Graveyard(self._generations)
        self.vouch = self._generations.vouch
        self.lives = self._generations.lives
        self.beside = 0  # bytes of the tags' versions, which entries are judged by
        self.noted: Collection[Removal] = ()  # removals not done yet: entries that they name are not put in

    def __len__(self) -> int:
        return max(0, len(self.items) - self._graveyard.count)

    def __repr__(self) -> str:
        return (
            f"<Near {len(self)}/{self.max_items} items, {self.bytes}/{self.max_bytes} bytes, {self.evictions} evicted>"
        )

    @property
    def bytes(self) -> int:
        """Bytes charged: values, keys, the store's cost of each entry, and the tag versions kept outside the store."""
        return self._queue.weight + self._index.weight + self._graveyard.weight + self.beside

    def make_room(self, beside: int) -> None:
        """Set the bytes that are kept outside the store, and evict entries until the bounds hold again."""
        self.beside = beside
        self._evict()

    def living(self, key: str) -> NearEntry | None:
        """Return the entry under the key, if no removal has ended it."""
        held = self.items.get(key)
        return held if held is not None and (held.generation.until > CLOSED or self.lives(held)) else None

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
        if self._graveyard.graves:
            self.bury(_PUT_BURIES)
            if self.living(key) is None:
                self._drop(key)
        held.generation = self._generations.present(held)
        old = self._queue.put(key, held)
        if old is None or old.tags != held.tags or old.unconfirmed != held.unconfirmed:
            if old is not None:
                self._unindex(key, old)
            lines = self._lines(held)
            if lines:
                self._index.enter(key, lines)
        self._evict()
        return self.items.get(key) is held

    def forget(self, key: str) -> bool:
        """Drop an entry; return whether there was one."""
        return self._drop(key)

    def forget_tag(self, tag: str) -> int:
        """End every entry that carries the tag (all carry ``*``); return how many.

        Of many entries the return value may count some that another removal had ended before.
        """
        if tag == EVERYTHING:
            return self.clear()
        keys = self._index.lines.get(tag, {})
        if len(keys) <= self.AT_ONCE:
            return sum(map(self._drop, list(keys)))
        number = self._generations.end_tag(tag)
        self._graveyard.count += len(keys)
        self._graveyard.add(Grave(self._index.take(tag), tag, number))
        self.on_dead()
        return len(keys)

    def forget_unconfirmed(self) -> int:
        """End every entry that the shared cache did not confirm; return how many, as ``forget_tag`` does."""
        return self.forget_tag(UNCONFIRMED)

    def clear(self) -> int:
        """End every entry, whatever its tags; return how many."""
        count = len(self)
        if len(self.items) <= 4 * self.AT_ONCE and not self._graveyard:
            self.start_over()
        elif self._queue.count:
            self._generations.end_all()
            graveyard, queue, index = self._graveyard, self._queue, self._index
            graveyard.count = len(self.items)
            graveyard.weight += queue.weight
            places, vacant = queue.leave()
            graveyard.add(*map(Grave, places))
            graveyard.add_rubble(*((part, 0) for part in vacant), (index.lines, index.weight))
            self._index = TagIndex()
            self.on_dead()
        return count

    def start_over(self) -> None:
        """Drop every entry at once, dead or alive, however long that takes, whatever state the store is in."""
        self._generations.end_all()
        self._queue.clear()
        self._index, self._graveyard = TagIndex(), Graveyard(self._generations)

    def bury(self, steps: int) -> bool:
        """Bury up to ``steps`` of the dead; return whether any are left."""
        graveyard, items = self._graveyard, self.items
        for step in range(steps):
            if step and graveyard.frees_much:
                break
            key = graveyard.next_key()
            if key is None:
                if not graveyard:
                    break
            elif (held := items.get(key)) is not None and not self.lives(held):
                self._take_out(key, held, alive=False)
        return bool(graveyard)

    @property
    def frees_much(self) -> bool:
        """Whether the next step of a burial takes as long as a slice."""
        return self._graveyard.frees_much

    def sweep(self, now: float, limit: int = 64) -> int:
        """Drop entries that are past their ``stale_until``; return how many. Repeated calls go through all entries.

        Args:
            now: seconds, on the clock of the entries' times.
            limit: entries to look at. The default takes 0.1 ms when all are dropped, which fits between two requests.
        """
        items = self.items
        found = [(key, items.get(key)) for key in self._queue.walk(limit)]
        return sum(self._drop(key) for key, held in found if held is not None and held.stale_until <= now)

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
        patience = PATIENCE
        while (heavy := self.bytes > self.max_bytes) or len(self.items) > self.max_items:
            if self._graveyard and (patience > 0 or not self._queue.count):
                patience -= 1
                self.bury(1)
            elif self._queue.count:
                key, held = self._queue.evict(by_weight=heavy)
                self._unindex(key, held)
                if self._is_alive(held):
                    self.evictions += 1
                else:
                    self._count_out(held)
            else:
                break

    def _drop(self, key: str) -> bool:
        """Take an entry out; return whether it was there, and alive."""
        held = self.items.get(key)
        if held is None:
            return False
        alive = self._is_alive(held)
        self._take_out(key, held, alive=alive)
        return alive

    def _is_alive(self, held: NearEntry) -> bool:
        return not self._graveyard.graves or self.lives(held)

    def _take_out(self, key: str, held: NearEntry, *, alive: bool) -> None:
        if not alive:
            self._count_out(held)
            if held.generation.number <= self._generations.cleared:  # its place and its lines are in the graveyard
                del self.items[key]
                self._graveyard.weight -= _weigh(key, held)
                return
        self._queue.remove(key)
        self._unindex(key, held)

    def _count_out(self, held: NearEntry) -> None:
        """Count out a dead entry, and expire it for the readers that still have it."""
        self._graveyard.count -= 1
        held.fresh_until = held.stale_until = CLOSED

    def _unindex(self, key: str, held: NearEntry) -> None:
        lines = self._lines(held)
        if lines:
            self._index.leave(key, lines)

    def _lines(self, held: NearEntry) -> Sequence[str]:
        """Return the lines of the index that an entry's key is in; most entries are in none."""
        own = () if held.tags is _ONLY_EVERYTHING else tuple(tag for tag in held.tags if tag != EVERYTHING)
        return (*own, UNCONFIRMED) if held.unconfirmed and not self._alone else own


def _nothing() -> None:
    pass


def _weigh(key: str, held: NearEntry) -> int:
    weight = held.size + sys.getsizeof(key) + ENTRY_BYTES
    if held.tags is not _ONLY_EVERYTHING:
        for tag in held.tags:
            if tag != EVERYTHING:
                weight += MEMBER_BYTES + sys.getsizeof(tag)
    return weight
