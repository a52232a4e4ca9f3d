"""Near entries whose type and the type asked for differ by name: an object answers if its bytes would say the same."""

import json
import os
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest

from fleetcache import CodecError
from fleetcache.format.codec import INT, JSON, MSGPACK, Codecs
from fleetcache.near.store import ENCODED, NearEntry
from fleetcache.policy.lookup import DecodedValue
from fleetcache.shared.entries import Entries
from tests.support.world import LAYOUT, TAGS, World

SCALARS = ["x", "", "2024-01-01", b"\x00x", b"", 0, 7, -(2**40), 2**64 - 1, True, False, 1.5, 0.0, -0.0, 5.0, None]
DATES = [
    date(2024, 2, 29),
    datetime(2024, 2, 29, 12, 30, 1, 5),  # noqa: DTZ001 - without a zone
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    time(12, 30),
    timedelta(days=-1, microseconds=7),
    Decimal("1.10"),
    UUID(int=7),
    1 + 2j,
]
TYPES: list[Any] = [
    Any,
    str,
    int,
    float,
    bool,
    bytes,
    type(None),
    str | None,
    int | None,
    float | None,
    int | float,
    Annotated[str, "a name"],
    Annotated[float, msgspec.Meta(ge=-1e20)],
    Literal["x", 7],
    list[int],
]
# Bytes as another release or another program may have written them.
FOREIGN = [
    (codec, payload)
    for value in (*SCALARS, [1], {"a": 1})
    for codec, payload in ((MSGPACK, msgspec.msgpack.encode(value)), (JSON, msgspec.json.encode(value)))
] + [(INT, b"5"), (INT, b"0"), (JSON, json.dumps(1e300).encode()), (JSON, b"5.0"), (MSGPACK, b"\xca\x40\xa0\x00\x00")]


def entries(codec: str) -> Entries:
    world = World()
    chosen: Any = Codecs(codec)  # type: ignore[arg-type]  # one of the three names
    return Entries(chosen, None, world.it, LAYOUT, world.counters, max_bytes=1000, stamp=lambda: os.urandom(16))


def held(store: Entries, answer: DecodedValue) -> NearEntry:
    entry = store.near_entry(answer, TAGS, (60.0, 65.0), born=0.0)
    assert isinstance(entry, NearEntry)
    return entry


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def check(store: Entries, answer: DecodedValue) -> int:
    """Hold the entry's second type to the bytes of the value; return how many types answer without them."""
    entry = held(store, answer)
    if entry.also is ENCODED:
        return 0
    assert same(entry.value, store.codecs.decode(answer.codec, answer.payload or b"", entry.also))
    return 1


@pytest.mark.parametrize("codec", ["msgpack", "json", "pickle"])
def test_a_written_scalar_is_the_same_under_its_second_type(codec: str) -> None:
    store, found = entries(codec), 0
    for value in (*SCALARS, *DATES):
        for declared in (*TYPES, *map(type, DATES)):
            try:
                answer = store.encode(value, declared)
            except CodecError:
                continue
            found += check(store, answer)
    assert found > len(SCALARS)


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_a_read_scalar_is_the_same_under_its_second_type(codec: str) -> None:
    store, found = entries(codec), 0
    for number, payload in FOREIGN:
        for declared in TYPES:
            try:
                value = store.codecs.decode(number, payload, declared)
            except CodecError:
                continue
            found += check(store, DecodedValue(value, payload, number, declared))
    assert found > len(FOREIGN)


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_a_scalar_of_msgpack_has_a_second_type(value: Any) -> None:
    store = entries("msgpack")
    assert held(store, store.encode(value, Any)).also is type(value)
    assert held(store, store.encode(value, type(value))).also is Any


@pytest.mark.parametrize("value", DATES, ids=repr)
def test_a_date_is_of_its_own_type_though_it_was_stored_without(value: Any) -> None:
    store = entries("msgpack")
    assert held(store, store.encode(value, Any)).also is type(value)
    assert held(store, store.encode(value, type(value))).also is ENCODED


def test_an_int_that_is_read_as_a_float_is_an_int_as_plain_data() -> None:
    store = entries("msgpack")
    for number, payload in ((INT, b"5"), (MSGPACK, b"\x05"), (JSON, b"5")):
        entry = held(store, DecodedValue(5.0, payload, number, float))
        assert entry.also is ENCODED
    # ... and bytes in JSON are text.
    assert held(entries("json"), entries("json").encode(b"x", bytes)).also is ENCODED


@pytest.mark.parametrize("value", [(1, 2), [1], {"a": 1}], ids=repr)
def test_other_values_have_none(value: Any) -> None:
    store = entries("msgpack")
    assert held(store, store.encode(value, Any)).also is ENCODED
