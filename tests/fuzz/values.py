"""Values of every kind that users cache, plain ones and others, made of decisions."""

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tests.fuzz.source import Source

__all__ = ["TYPES", "value"]

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = 2


class Level(IntEnum):
    ONE = 1


class Pair(NamedTuple):
    a: Any
    b: int = 0


@dataclass
class User:
    id: int
    name: Any = None
    seen: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Spot:
    x: float
    where: Any = ()


class Place(msgspec.Struct):
    city: str
    tree: "Place | None" = None


class Row(TypedDict, total=False):
    id: int
    name: str


@dataclass
class Box(Generic[T]):
    value: T


class Opaque:
    """A class that only pickle has bytes for."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque)

    def __hash__(self) -> int:
        return 0


TYPES: tuple[Any, ...] = (
    Any, int, float, str, bytes, bool, None, list, dict, list[int], dict[str, Any], dict[int, str], tuple[int,
    ...], tuple[Any, int],
    set[str], frozenset[int], int | None, str | list[str], Decimal, UUID, datetime, date, time, timedelta,
    Color, Level, Pair,
    User, list[User], Spot, Place, Row, OrderedDict, object, Opaque, "User", User | Spot, list[User | Place | None],
    str | Decimal, date | datetime, Sequence[Any], Box[User | int], Annotated[int, msgspec.Meta(gt=3)] | Spot,
    deque[int], complex, PurePosixPath, IPv4Address, dict[Any, Any], Iterable[tuple[Any, ...]],
)  # fmt: skip


ODD = (
    Opaque(), Opaque, len, 1j, float("nan"), float("inf"), -0.0, 2**64, -(2**63) - 1, "\ud800", PurePosixPath("a/b"),
    IPv4Address(1), Counter("aab"), defaultdict(list, {"a": [1]}), deque([1, (2,)], 3), datetime(2020, 1, 1, fold=1),  # noqa: DTZ001
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1), time(1, tzinfo=ZoneInfo("UTC")),
    datetime(2020, 1, 1, tzinfo=timezone(timedelta(seconds=-1))), Decimal("sNaN"), {"$": (1,)},
    re.compile("a|b", re.IGNORECASE),
)  # fmt: skip


def value(source: Source, depth: int = 4) -> Any:  # noqa: PLR0911 - one exit for each kind of value
    """Return a value; at the end of the bytes, ``None``."""
    kind = source.byte() % (18 if depth else 11)
    if kind < 11:
        return _scalar(source, kind)
    if kind == 11:
        return source.pick(ODD)
    parts = [value(source, depth - 1) for _ in range(source.below(4))]
    if kind in {12, 13}:
        return (list if kind == 12 else tuple)(parts)
    if kind == 14:
        return {_key(source): part for part in parts}
    if kind == 15:
        return {part for part in parts if isinstance(part, (str, int, bytes, type(None)))}
    if kind == 16:
        return source.pick((User, Pair))(source.below(9), parts)
    return Spot(source.byte() / 4, tuple(parts)) if source.byte() % 2 else Place(source.text(), Place("x"))


def _key(source: Source) -> Any:
    return _scalar(source, source.pick((3, 3, 3, 1, 4, 5, 7)))


def _scalar(source: Source, kind: int) -> Any:  # noqa: PLR0911 - as above
    if kind == 0:
        return None
    if kind == 1:
        return int.from_bytes(source.take(source.byte() % 10), signed=True)
    if kind == 2:
        return source.byte() / 7
    if kind in {3, 4}:
        return source.text(("a", "é", "1", "True", ":", "%")) if kind == 3 else source.blob()
    if kind == 5:
        return source.byte() % 2 == 1
    if kind == 6:
        return Decimal(source.below(10_000)) / 100
    if kind == 7:
        return UUID(bytes=source.take(16).ljust(16, b"\0"))
    if kind == 8:
        moment = datetime(2020, 1, 1, tzinfo=source.pick((UTC, None))) + timedelta(seconds=source.below(10**8))
        return source.pick((moment, moment.date(), moment.timetz()))
    if kind == 9:
        return timedelta(microseconds=source.below(10**12))
    return source.pick((Color.RED, Color.BLUE, Level.ONE))
