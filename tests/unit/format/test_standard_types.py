"""The table of the standard library: each row brings its value back, and its code and word never change."""

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Interface
from pathlib import PosixPath, PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from fleetcache.format.standard_types import NotHeldError, is_leaf, long_int, read_leaf, readers, standard

# Part of the format: another release reads these.
CODES = {
    1: "dict",
    2: "int",
    3: "float",
    4: "bytes",
    10: "tuple",
    11: "set",
    12: "frozenset",
    13: "Decimal",
    14: "date",
    15: "datetime",
    16: "time",
    17: "timedelta",
    18: "UUID",
    19: "complex",
    20: "deque",
    21: "OrderedDict",
    22: "Counter",
    23: "defaultdict",
    24: "Pattern",
    30: "IPv4Address",
    31: "IPv6Address",
    32: "IPv4Network",
    33: "IPv6Network",
    34: "IPv4Interface",
    35: "IPv6Interface",
    36: "PosixPath",
    37: "WindowsPath",
    38: "PurePosixPath",
    39: "PureWindowsPath",
}
VALUES: list[Any] = [
    (1, 2),
    {1},
    frozenset({1}),
    Decimal("1.50"),
    date(2026, 1, 2),
    datetime(2026, 1, 2, 3, tzinfo=UTC),
    time(3, 4),
    timedelta(days=-1, microseconds=1),
    UUID(int=7),
    1 + 2j,
    deque([1], maxlen=3),
    OrderedDict(a=1),
    Counter("aab"),
    defaultdict(list, {"a": [1]}),
    re.compile("a+", re.IGNORECASE),
    IPv4Address("10.0.0.1"),
    IPv6Interface("fe80::1/64"),
    PosixPath("/srv"),
    PurePosixPath("a/b"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_row_brings_its_value_back(value: Any) -> None:
    row = standard(type(value))
    assert row is not None
    back = row.read(row.write(value))
    assert (type(back), back) == (type(value), value)
    assert getattr(back, "maxlen", None) == getattr(value, "maxlen", None)
    assert getattr(back, "default_factory", None) is getattr(value, "default_factory", None)


def test_codes_and_words_are_part_of_the_format() -> None:
    rows = readers()
    assert {code: row.word for code, row in rows.items() if isinstance(code, int)} == CODES
    assert all(rows[word] is rows[code] for code, word in CODES.items())


@pytest.mark.parametrize(
    "value",
    [re.compile("x" * 1001), re.compile("[a-é]", re.IGNORECASE), defaultdict(lambda: 0), defaultdict(VALUES.copy)],
    ids=["a long pattern", "a slow pattern", "a lambda", "a method"],
)
def test_a_value_that_could_not_be_read_is_refused(value: Any) -> None:
    row = standard(type(value))
    assert row is not None
    with pytest.raises(NotHeldError):
        row.write(value)


@pytest.mark.parametrize("kind", [list, str, object, type(None)])
def test_no_other_type_has_a_row(kind: type) -> None:
    assert standard(kind) is None


@pytest.mark.parametrize("number", [2**64, -(2**200), 10**4300 - 1, 1 - 10**4300])
def test_a_long_number_comes_back(number: int) -> None:
    assert readers()["int"].read(long_int(number)) == number


def test_a_number_of_more_digits_than_python_prints_is_refused() -> None:
    with pytest.raises(NotHeldError):
        long_int(10**4300)
    with pytest.raises(ValueError, match="f"):
        readers()["int"].read("f" * 3574)


@pytest.mark.parametrize(("kind", "text"), [(IPv4Address, "10.0.0.1"), (PurePosixPath, "a/b"), (complex, [1.0, 2.0])])
def test_a_leaf_is_read_without_its_parts(kind: Callable[..., Any], text: Any) -> None:
    assert is_leaf(kind)  # type: ignore[arg-type]  # each is a class
    assert isinstance(read_leaf(kind, text), kind)  # type: ignore[arg-type]  # as above
