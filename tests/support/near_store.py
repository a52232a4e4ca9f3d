"""Entries of a near store, and a check that its sums are those of its entries, dead or alive."""

import sys

from msgspec.structs import replace

from fleetcache.near.generations import UNCONFIRMED
from fleetcache.near.store import ENTRY_BYTES, Near, NearEntry
from fleetcache.near.tag_index import MEMBER_BYTES, TAG_BYTES

__all__ = ["bury_all", "check_sums", "held", "is_alive", "living"]


def held(
    value: object = "value",
    *,
    size: int = 100,
    tags: tuple[str, ...] = ("*",),
    stale_until: float = 10.0,
    backed: bool = True,
) -> NearEntry:
    return NearEntry(
        value,
        codec=0,
        declared=str,
        fresh_until=stale_until,
        stale_until=stale_until,
        unconfirmed=not backed,
        tags=tags,
        cost=0.0,
        stamp=b"V" + bytes(16) if backed else b"",
        size=size,
    )


def is_alive(near: Near, entry: NearEntry) -> bool:
    """Judge a copy, because an entry that is alive moves to the present generation when it is asked for."""
    return near.lives(replace(entry))


def living(near: Near) -> dict[str, NearEntry]:
    return {key: entry for key, entry in near.items.items() if is_alive(near, entry)}


def bury_all(near: Near, steps: int = 7) -> None:
    """Bury in slices; each slice leaves the sums exact."""
    while near.bury(steps):
        assert near.bytes >= 0
    assert len(near) == len(near.items)


def check_sums(near: Near) -> None:
    cleared, removed = near._generations.cleared, near._generations._removed
    placed = {key: entry for key, entry in near.items.items() if entry.generation.number > cleared}
    lines: dict[str, set[str]] = {}
    for key, entry in placed.items():
        for tag in {*entry.tags, *([UNCONFIRMED] if entry.unconfirmed and not near._alone else [])} - {"*"}:
            if removed.get(tag, -1) < entry.generation.number:
                lines.setdefault(tag, set()).add(key)
    assert {tag: set(keys) for tag, keys in near._index.lines.items()} == lines
    slots = MEMBER_BYTES * len(lines.get(UNCONFIRMED, ()))
    assert near._index.weight == slots + sum(TAG_BYTES + sys.getsizeof(tag) for tag in lines)
    own_tags = sum(MEMBER_BYTES + sys.getsizeof(tag) for each in near.items.values() for tag in each.tags if tag != "*")
    sizes = sum(entry.size + sys.getsizeof(key) + ENTRY_BYTES for key, entry in near.items.items())
    rubble = sum(weight for _, weight in near._graveyard._rubble)
    assert near.bytes == sizes + own_tags + near._index.weight + rubble + near.beside
    assert near.bytes <= near.max_bytes
    assert len(near) <= len(living(near)) <= len(near.items) <= near.max_items
    # Each entry has one place, and a vacant place has no entry.
    queue = near._queue
    places = [*queue._small, *queue._main]
    assert len(places) == len(set(places))
    assert set(places) == set(placed) | set(queue._vacant)
    assert not set(placed) & set(queue._vacant)
    assert queue.count == len(placed)
    assert queue._small_count == sum(not entry.main for entry in placed.values())
    assert all((key in placed and not placed[key].main) or key in queue._vacant for key in queue._small)
