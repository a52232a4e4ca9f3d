"""Entries: a packed value is read back, and every other content of a key has its own verdict."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hiredis import ReplyError

from fleetcache.errors import CodecError
from fleetcache.format.codec import Codecs
from fleetcache.format.entry import GRACE
from fleetcache.format.signing import Signer
from fleetcache.near.coherence import FillToken
from fleetcache.policy.lookup import DecodedValue, EntryState, Lookup, NewEntry
from fleetcache.policy.options import CallOptions
from fleetcache.shared.entries import Entries
from tests.support.world import LAYOUT, TAGS, V1, V2, World

OPTIONS = CallOptions(ttl=60.0, stale=5.0, tags=TAGS, offline_ttl=10.0)
VERSIONS = (("*", V1), ("geo", V1))
LEFT = 65_000 + round(GRACE * 1000)  # ms: ttl, stale and grace


class Store:
    """Entries over real coherence, without a server."""

    def __init__(self, signer: Signer | None = None, *, max_bytes: int = 10_000) -> None:
        self.world = World()
        self.it = Entries(
            Codecs("msgpack"),
            signer,
            self.world.it,
            LAYOUT,
            self.world.counters,
            max_bytes=max_bytes,
            stamp=lambda: os.urandom(16),
        )

    def packed(self, value: Any, key: str = "k", options: CallOptions = OPTIONS) -> bytes:
        answer = self.it.encode(value, Any)
        return self.it.pack(key, answer, VERSIONS, options).blob

    def see(self, blob: Any, pttl: Any = LEFT, *, key: str = "k", declared: Any = Any) -> Lookup:
        return self.it.see(key, blob, pttl, self.world.clock(), declared, None)


def test_what_was_packed_is_read_back() -> None:
    store = Store()
    seen = store.see(store.packed({"a": 1}))
    assert (seen.state, seen.answer.value if seen.answer else None) == (EntryState.FRESH, {"a": 1})
    assert [name for name, _ in store.it.tags_of(seen)] == list(TAGS)


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (LEFT, EntryState.FRESH),
        (LEFT - 60_001, EntryState.STALE),
        (LEFT - 65_001, EntryState.EXPIRED),
        (0, EntryState.ABSENT),
        (-2, EntryState.ABSENT),
        (-1, EntryState.FOREIGN),
    ],
)
def test_its_state_follows_from_the_time_it_has_left(left: int, state: EntryState) -> None:
    store = Store()
    assert store.see(store.packed("x"), left).state is state


@pytest.mark.parametrize(
    ("blob", "pttl", "state"),
    [
        (None, -2, EntryState.ABSENT),
        (b"hello", 1000, EntryState.FOREIGN),
        (b"", 1000, EntryState.FOREIGN),
        (b"L" + b"1" * 16, 1000, EntryState.LOADING),
        (b"V" + b"1" * 16, 1000, EntryState.INVALID),
        (ReplyError("WRONGTYPE"), 1000, EntryState.UNAVAILABLE),
        (b"V", ReplyError("NOPERM"), EntryState.UNAVAILABLE),
    ],
    ids=repr,
)
def test_what_is_no_entry_has_a_verdict_too(blob: Any, pttl: Any, state: EntryState) -> None:
    assert Store().see(blob, pttl).state is state


def test_a_tag_that_was_removed_makes_it_unusable_and_an_unknown_one_is_asked_for() -> None:
    store = Store()
    blob = store.packed("x")
    store.world.it.keep_version("geo", V2, store.world.clock())
    seen = store.see(blob)
    assert (seen.state, seen.reason) == (EntryState.INVALID, "tags")
    other = Store()
    other.world.it.copies.clear()
    seen = other.see(blob)
    assert seen.state is EntryState.TAGS_UNKNOWN
    assert set(seen.unknown) == set(TAGS)


def test_an_entry_of_another_key_or_without_our_signature_is_unusable() -> None:
    signed, other = Store(Signer((b"a" * 32,))), Store(Signer((b"b" * 32,)))
    blob = signed.packed("x")
    assert signed.see(blob).state is EntryState.FRESH
    for seen in (
        signed.see(blob, key="other"),
        other.see(blob),
        signed.see(Store().packed("x")),
        signed.see(blob[:-1] + b"?"),
    ):
        assert (seen.state, seen.reason) == (EntryState.INVALID, "signature")
    assert signed.world.counters.unusable["signature"] == 3


def test_a_value_over_the_bound_is_neither_written_nor_read() -> None:
    large, small = Store(), Store(max_bytes=100)
    with pytest.raises(CodecError, match="CACHE_MAX_VALUE_BYTES"):
        small.it.encode("x" * 101, Any)
    seen = small.see(large.packed("x" * 101))
    assert (seen.state, seen.reason) == (EntryState.INVALID, "size")


def test_a_value_of_another_type_is_unusable() -> None:
    store = Store()
    seen = store.see(store.packed("x"), declared=int)
    assert (seen.state, seen.reason) == (EntryState.INVALID, "value")


def test_no_two_stamps_are_the_same() -> None:
    store = Store()
    stamps = {store.it.stamp(b"L") for _ in range(100)}
    assert len(stamps) == 100
    assert {(stamp[:1], len(stamp)) for stamp in stamps} == {(b"L", 17)}


def test_each_caller_gets_its_own_copy_unless_nobody_can_change_it() -> None:
    store = Store()
    listed, text = store.it.encode([1], list[int]), store.it.encode("x", str)
    copy = store.it.copy(listed, list[int])
    assert (copy, copy is listed.value) == ([1], False)
    assert store.it.copy(text, str) is text.value
    with pytest.raises(CodecError):
        store.it.copy(text, int)


@pytest.mark.parametrize(("value", "declared"), [([1], list[int]), ("x", str)], ids=["bytes", "as itself"])
def test_near_answers_with_the_asked_type_or_not_at_all(value: Any, declared: Any) -> None:
    store = Store()
    answer = store.it.encode(value, declared)
    held = store.it.near_entry(answer, TAGS, (60.0, 65.0), born=0.0)
    found = store.it.decode_near(held, declared)
    assert isinstance(found, DecodedValue)
    assert found.value == value
    assert store.it.decode_near(held, dict[str, int]) is None


def stored(store: Store, change: Callable[[World, FillToken], object] = lambda *_: None) -> NewEntry:
    """An entry that the server acknowledged after the change, sent two seconds before."""
    world = store.world
    token = world.it.open_fill("k", TAGS)
    entry = store.it.pack("k", store.it.encode("x", str), VERSIONS, OPTIONS, 0.5, token=token)
    change(world, token)
    store.it.fill(entry, world.clock() - 2.0)
    world.it.close_fill(token)
    return entry


def test_near_gets_a_stored_entry_whose_life_counts_from_when_it_was_sent() -> None:
    store = Store()
    entry = stored(store)
    held = store.world.near.items["k"]
    assert entry.current
    assert (held.value, held.stamp, held.cost, held.tags) == ("x", entry.stamp, 0.5, TAGS)
    now = store.world.clock()
    assert held.fresh_until == pytest.approx(now + 58.0)
    assert held.stale_until == pytest.approx(now + 63.0)


def test_without_tracking_near_keeps_a_stored_entry_for_a_short_time() -> None:
    store = Store()
    store.world.it.tracking = False
    entry = store.it.pack("k", store.it.encode("x", str), VERSIONS, OPTIONS, token=store.world.it.open_fill("k", TAGS))
    store.it.fill(entry, store.world.clock())
    held = store.world.near.items["k"]
    assert held.fresh_until == held.stale_until == store.world.clock() + store.world.it.untracked_life


@pytest.mark.parametrize(
    ("change", "current"),
    [
        (lambda world, _token: world.it.forget_tag("geo"), False),
        (lambda world, _token: world.it.keep_version("geo", V2, 0.0), False),
        (lambda world, _token: world.it.forget_key("k"), True),
        (lambda world, token: world.it.close_fill(token), True),
    ],
    ids=["tag removed", "tag replaced", "key removed", "call over"],
)
def test_near_gets_no_stored_entry_that_a_change_has_overtaken(change: Any, current: bool) -> None:
    store = Store()
    entry = stored(store, change)
    assert entry.current is current
    assert "k" not in store.world.near.items


def test_near_gets_no_entry_without_a_token() -> None:
    store = Store()
    entry = store.it.pack("k", store.it.encode("x", str), VERSIONS, OPTIONS)
    store.it.fill(entry, store.world.clock())
    assert entry.current
    assert "k" not in store.world.near.items
