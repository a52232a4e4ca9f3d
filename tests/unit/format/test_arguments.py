"""One argument in a key: readable, and no two values are written alike."""

import itertools
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Any
from uuid import UUID

import pytest

from fleetcache.format.arguments import SEPARATORS, Unwritable, write_argument
from tests.support.ids import same_everywhere


class Color(Enum):
    RED = "1"


class Level(IntEnum):
    LOW = 1


class Bit(Flag):
    A = 1
    B = 2


@dataclass(frozen=True)
class Point:
    x: int


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __cache_key__(self) -> str:
        return self.name


VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.0,
    1e100,
    float("inf"),
    "",
    "a",
    "None",
    "True",
    "1",
    "1.0",
    "-inf",
    "a b",
    "a,b",
    "'a'",
    "%41",
    b"",
    b"a",
    (),
    (1,),
    ("1",),
    [1],
    [[1], 2],
    [[1, 2]],
    {1},
    frozenset({1}),
    {},
    {"a": 1},
    {"a": "1"},
    {1: "a"},
    Decimal(1),
    Decimal("1.0"),
    UUID(int=1),
    date(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1),  # noqa: DTZ001 - a case
    Color.RED,
    Level.LOW,
    Bit.A,
    Bit.A | Bit.B,
    Point(1),
    Named("a"),
    deque([1]),
    OrderedDict(a=1),
]


def test_no_two_values_are_written_alike() -> None:
    for one, other in itertools.combinations(VALUES, 2):
        assert write_argument(one) != write_argument(other), (one, other)


def test_no_written_value_holds_a_separator() -> None:
    separators = "".join(sorted(SEPARATORS))
    for value in (*VALUES, separators, [separators], {separators: separators}, Named(separators), "é\n\ud800"):
        assert not SEPARATORS & set(write_argument(value)), value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (Point(1), Point(1)),
        (Named("a"), Named("a")),
    ],
    ids=same_everywhere,
)
def test_equal_values_are_written_alike(one: Any, other: Any) -> None:
    assert write_argument(one) == write_argument(other)


def test_plain_text_stands_as_it_is() -> None:
    assert [write_argument(text) for text in ("abc", "a@b.org", "1a", "x-1")] == ["abc", "a@b.org", "1a", "x-1"]


def test_the_order_of_an_ordered_dict_counts() -> None:
    assert write_argument(OrderedDict(a=1, b=2)) != write_argument(OrderedDict(b=2, a=1))


@pytest.mark.parametrize(
    "value",
    [object(), [object()], {"a": object()}, Named, lambda: 1],
    ids=["object", "in a list", "in a dict", "a class", "a function"],
)
def test_a_value_without_a_text_of_its_own_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(Unwritable, match=r"object|Named|function"):
        write_argument(value)
