"""Sizes and counts: every unit, every refusal, and ConfigError alone for any other text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.config.durations import shorten
from fleetcache.config.sizes import MAX_SIZE, parse_count, parse_share, parse_size
from fleetcache.errors import ConfigError

READ: list[tuple[int | str, int]] = [
    (0, 0),
    (1024, 1024),
    ("0", 0),
    ("1024", 1024),
    (" 1024 ", 1024),
    ("5B", 5),
    ("2kB", 2_000),
    ("2KB", 2_000),
    ("2KiB", 2_048),
    ("32MB", 32_000_000),
    ("32MiB", 33_554_432),
    ("1GB", 10**9),
    ("1GiB", 2**30),
    (str(MAX_SIZE), MAX_SIZE),
]

JUNK = [
    "",
    " ",
    "MB",
    "32 MB",
    "32mb",
    "32M",
    "32Mb",
    "1.5GB",
    "-1",
    "+1",
    "1e3",
    "0x10",
    "1_000",
    "\u0663",
    "³",
    "1TB",
    "9" * 20,
    "9" * 5000,
    "\0",
]


@pytest.mark.parametrize(("value", "expected"), READ)
def test_reads(value: int | str, expected: int) -> None:
    assert parse_size(value, name="near_max_bytes") == expected


@pytest.mark.parametrize("value", [*JUNK, None, True, False, 1.0, b"1", [1]], ids=shorten)
def test_refuses_what_is_no_size(value: int | str) -> None:
    with pytest.raises(ConfigError, match=r"^near_max_bytes = .* is not a size; accepted: .*32MiB"):
        parse_size(value, name="near_max_bytes")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-1, "must not be negative"),
        (9, "is under 10 bytes"),
        ("2kB", "is over 1000 bytes"),
        (10**5000, "is over 1000 bytes"),
    ],
    ids=shorten,
)
def test_refuses_what_is_out_of_bounds(value: int | str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^max_value_bytes = .* {problem}; accepted: "):
        parse_size(value, name="max_value_bytes", minimum=10, maximum=1000)


def test_bounds_are_inclusive() -> None:
    assert [parse_size(value, name="x", minimum=10, maximum=1000) for value in (10, "1kB")] == [10, 1000]
    with pytest.raises(ConfigError, match="is over"):
        parse_size("9999999999GiB", name="x")


@pytest.mark.parametrize(("value", "expected"), [(1, 1), ("1", 1), (" 10000 ", 10_000), (MAX_SIZE, MAX_SIZE)])
def test_counts(value: int | str, expected: int) -> None:
    assert parse_count(value, name="near_max_items") == expected


@pytest.mark.parametrize(
    "value", [0, -1, "0", "-1", "", "1k", "1kB", "1.0", 1.0, True, None, "³", "\u0663", MAX_SIZE + 1]
)
def test_refuses_what_is_no_count(value: int | str) -> None:
    with pytest.raises(ConfigError, match=r"^near_max_items = .* is not a count; accepted: a whole number, 1 or more"):
        parse_count(value, name="near_max_items")


@given(
    st.integers(min_value=0, max_value=10**9), st.sampled_from(["", "B", "kB", "KB", "KiB", "MB", "MiB", "GB", "GiB"])
)
def test_a_unit_only_multiplies(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}", name="x") == number * parse_size(f"1{unit}", name="x")


@given(st.text() | st.text("0123456789kKMGiB ") | st.integers() | st.floats() | st.none())
def test_reads_or_refuses_and_never_anything_else(value: int | str) -> None:
    for convert in (parse_size, parse_count):
        try:
            assert convert(value, name="x") >= 0
        except ConfigError as error:
            assert str(error).startswith("x = ")  # noqa: PT017 - either outcome is right, and both are checked


@pytest.mark.parametrize(
    ("value", "share"),
    [(0, 0.0), (0.05, 0.05), ("5%", 0.05), (" 5% ", 0.05), ("0.05", 0.05), ("0", 0.0), ("2.5%", 0.025), (1, 1.0)],
)
def test_a_share_is_a_number_or_a_percentage(value: float | str, share: float) -> None:
    assert parse_share(value, name="share") == share


@pytest.mark.parametrize("value", [*JUNK, "%", "5 %", "5%%", "nan", "inf", ".5", "5s", None, b"5%", [5], True, 1j])
def test_any_other_value_is_no_share(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^share = .*accepted: a number from 0 to 1, or text such as \"5%\"$"):
        parse_share(value, name="share")


@pytest.mark.parametrize("value", [5, -0.1, "101%", float("nan"), float("inf")])
def test_a_share_beyond_the_whole_is_refused(value: float | str) -> None:
    with pytest.raises(ConfigError, match="is not from 0 to 100%"):
        parse_share(value, name="share")
