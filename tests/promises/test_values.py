"""Promise 7: no caller changes another's value, a hit equals a miss, and bytes read are never executed nor raise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.promises.variants import Variant, hands_out_its_own, ours
from tests.support.run import run
from tests.support.servers import Server


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Point(msgspec.Struct):
    x: int
    names: list[str] = msgspec.field(default_factory=list)


@dataclass
class User:
    name: str
    rights: set[str] = field(default_factory=set)
    points: list[Point] = field(default_factory=list)


@dataclass
class Missing:
    name: str


Ask = Callable[[], Awaitable[Any]]


@asynccontextmanager
async def pair(variant: Variant, server: Server, prefix: str) -> AsyncIterator[tuple[Any, Any]]:
    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s"}
    async with variant(server.url, **settings) as one, variant(server.url, **settings) as other:
        yield one, other


async def every_way(one: Any, other: Any, key: str, make: Callable[[], Any], declared: Any) -> AsyncIterator[Any]:
    """Yield the value by each way to get it, first to the caller that loads it and to two that join."""

    async def load() -> Any:
        await asyncio.sleep(0)
        return make()

    async def load_many(keys: list[str]) -> dict[str, Any]:
        return {key: make() for key in keys}

    def ask(cache: Any) -> Awaitable[Any]:
        return cache.get_or_set(key, load, type=declared)  # type: ignore[no-any-return] # Any, so that variants fit

    together: tuple[Any, ...] = await asyncio.gather(ask(one), ask(one), ask(one))
    for value in together:
        yield value
    for cache in (one, other, one, other):  # near, shared, near, near
        yield await ask(cache)
        yield await cache.get(key, type=declared)
        yield cache.peek(key, type=declared)
        yield (await cache.get_many([key], type=declared))[key]
        yield (await cache.get_or_set_many([key], load_many, type=declared))[key]
        yield await cache.cached(key=key, type=declared)(load)()
    yield await one.refresh(key, load, type=declared)
    await one.delete(key)
    yield (await one.get_or_set_many([key], load_many, type=declared))[key]
    await one.set(key, make(), type=declared)
    yield await one.get(key, type=declared)
    yield await other.get(key, type=declared)


def spoil(value: Any) -> None:
    """Change the value at its deepest changeable part."""
    if isinstance(value, list):
        spoil(value[0])
        value.append("spoilt")
    elif isinstance(value, dict):
        spoil(value["list"])
        value["spoilt"] = True
    elif isinstance(value, set):
        value.add("spoilt")
    elif isinstance(value, User):
        value.name = "spoilt"
        spoil(value.rights)
        spoil(value.points)
    elif isinstance(value, Point):
        value.x = -1
        value.names.append("spoilt")


CHANGEABLE: list[tuple[Callable[[], Any], Any]] = [
    (lambda: [["a"], 1], Any),
    (lambda: {"list": [1, 2], "more": {"list": [3]}}, Any),
    (lambda: {"a", "b"}, set[str]),
    (lambda: User("Ada", {"read"}, [Point(1, ["p"])]), User),
    (lambda: Point(1, ["p"]), Point),
]


async def changed_for_others(variant: Variant, server: Server, prefix: str) -> int:
    """Count the values that an earlier caller had changed."""
    violations = 0
    async with pair(variant, server, prefix) as (one, other):
        for number, (make, declared) in enumerate(CHANGEABLE):
            async for value in every_way(one, other, f"k{number}", make, declared):
                violations += value != make()
                spoil(value)
    return violations


def test_changing_what_was_got_changes_nobodys_copy(any_server: Server, prefix: str) -> None:
    assert run(changed_for_others(ours, any_server, prefix)) == 0


def test_handing_out_one_object_lets_everybody_change_it(one_server: Server, prefix: str) -> None:
    assert run(changed_for_others(hands_out_its_own, one_server, prefix)) > 0


NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

NOON = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))

PLAIN: list[Any] = [
    *("text", b"bytes", 7, -(2**63), 1.5, True, False, None, [1, "a"], {"a": {}}),
    *((1, "a"), [(1, 2)], {"a": {1, 2}}, frozenset({1}), {1, 2}, NOON, {"when": [NOON.date()]}, UUID(int=5)),
]

# The value that a loader returns, its declared type, and the value that each caller must get.
TYPED: list[tuple[Any, Any, Any]] = [
    *((value, Any, value) for value in PLAIN),
    ((1, 2), tuple[int, int], (1, 2)),
    ({1, 2}, frozenset[int], frozenset({1, 2})),
    (1, float, 1.0),
    (Level.HIGH, Level, Level.HIGH),
    (Missing("Ada"), User | Missing, Missing("Ada")),
    ([Missing("Ada"), User("Eve", {"x"})], list[User | Missing], [Missing("Ada"), User("Eve", {"x"})]),
    ((1, 2), Sequence[int], (1, 2)),
    (NOON.replace(fold=1), datetime, NOON.replace(fold=1)),
    (PurePosixPath("a"), PurePosixPath, PurePosixPath("a")),
    (2**70, int, 2**70),
    (3, Level, Level.HIGH),
    (Color.RED, Color, Color.RED),
    ({"x": 1}, Point, Point(1)),
    ({"name": "Ada"}, User, User("Ada")),
    (Decimal("1.10"), Decimal, Decimal("1.10")),
    (UUID(int=5), UUID, UUID(int=5)),
    (NOW, datetime, NOW),
    (NOW.astimezone(timezone(timedelta(hours=2))), datetime, NOW),
    (timedelta(seconds=90), timedelta, timedelta(seconds=90)),
    ({1: "one"}, dict[int, str], {1: "one"}),
    (None, int | None, None),
    (5, int | None, 5),
]


async def unlike(variant: Variant, server: Server, prefix: str) -> list[str]:
    """Return the hits that differ from their miss in value or in type."""
    found = []
    async with pair(variant, server, prefix) as (one, other):
        for number, (value, declared, expected) in enumerate(TYPED):
            first: list[Any] = []
            try:
                async for got in every_way(one, other, f"k{number}", partial(deepcopy, value), declared):
                    first = first or [got]
                    if (type(got), repr(got)) != (type(first[0]), repr(first[0])) or got != expected:
                        found.append(f"{value!r} as {declared}: {first[0]!r}, then {got!r}")
            except Exception as error:  # noqa: BLE001 - to report it with its value
                found.append(f"{value!r} as {declared}: {error!r}")
    return found


def test_a_hit_equals_a_miss_in_value_and_type(any_server: Server, prefix: str) -> None:
    assert run(unlike(ours, any_server, prefix)) == []


def test_handing_out_the_loaders_object_makes_hits_unlike_misses(one_server: Server, prefix: str) -> None:
    assert run(unlike(hands_out_its_own, one_server, prefix))


@pytest.mark.parametrize("value", [Point(1), User("Ada"), {1: Point(2)}, Color.RED])
def test_what_would_come_back_as_something_else_is_answered_and_not_kept(
    one_server: Server, prefix: str, value: object
) -> None:
    async def main() -> None:
        async with pair(ours, one_server, prefix) as (one, other):

            async def load():  # type: ignore[no-untyped-def] # noqa: ANN202 - a loader that declares nothing
                return value

            for cache in (one, one, other):
                assert await cache.get_or_set("key", load) is value
            assert one.stats().loads == 2

    run(main())
