"""Durations: every accepted form, every refused one, and text and seconds as each other's inverse."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.config.durations import MAX_TTL, Duration, config_error, format_duration, parse_duration, shorten
from fleetcache.errors import ConfigError

READ: list[tuple[Duration, float]] = [
    (30, 30.0),
    (0.25, 0.25),
    (timedelta(minutes=5, milliseconds=1), 300.001),
    ("30", 30.0),
    ("0.5", 0.5),
    (" 30 ", 30.0),
    ("250ms", 0.25),
    ("9ms", 0.009),
    ("30s", 30.0),
    ("5m", 300.0),
    ("1h30m", 5400.0),
    ("1.5h", 5400.0),
    ("7d", 604_800.0),
    ("1d2h3m4s5ms", 93_784.005),
    ("1m5ms", 60.005),
    ("90m", 5400.0),
]

JUNK = [
    "",
    " ",
    "s",
    "ms",
    "five",
    "5 m",
    "5M",
    "5y",
    "5min",
    "30m1h",
    "1h1h",
    "1h30",
    "-5m",
    "+5",
    "1e3",
    ".5",
    "5.",
    "1_000",
    "nan",
    "inf",
    "\u0665m",
    "5m\n5m",
    "\0",
    "9" * 100_000 + "x",
]


@pytest.mark.parametrize(("value", "expected"), READ)
def test_reads(value: Duration, expected: float) -> None:
    result = parse_duration(value, name="ttl")
    assert result == expected
    assert type(result) is float


@pytest.mark.parametrize("value", [*JUNK, None, b"5m", [5], True, False, 3 + 0j], ids=shorten)
def test_refuses_what_is_no_duration(value: Duration) -> None:
    with pytest.raises(ConfigError, match=r"^ttl = .* is not a duration; accepted: .*1h30m"):
        parse_duration(value, name="ttl")


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, -(10**400), 10**5000, "9" * 400, "9" * 5000], ids=shorten
)
def test_refuses_what_is_not_finite(value: Duration) -> None:
    with pytest.raises(ConfigError, match=r"^ttl = .* is not finite; accepted: ") as caught:
        parse_duration(value, name="ttl", zero=True)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [-1, -0.001, timedelta(seconds=-1)])
@pytest.mark.parametrize("zero", [False, True])
def test_refuses_negative(value: Duration, zero: bool) -> None:
    with pytest.raises(ConfigError, match=r"^ttl = .* must "):
        parse_duration(value, name="ttl", zero=zero)


@pytest.mark.parametrize("value", [0, 0.0, "0", "0s", "0ms", timedelta()])
def test_zero_only_where_it_means_something(value: Duration) -> None:
    assert parse_duration(value, name="stale", zero=True) == 0
    with pytest.raises(ConfigError, match=r"^ttl = .* must be more than zero"):
        parse_duration(value, name="ttl")


def test_bounds_are_inclusive_and_named() -> None:
    assert parse_duration("30d", name="ttl", maximum=MAX_TTL) == MAX_TTL
    with pytest.raises(ConfigError, match=r"^ttl = '31d' is over 30d; accepted"):
        parse_duration("31d", name="ttl", maximum=MAX_TTL)
    assert parse_duration("100ms", name="max_staleness", minimum=0.1) == 0.1
    with pytest.raises(ConfigError, match=r"^max_staleness = '99ms' is under 100ms; accepted"):
        parse_duration("99ms", name="max_staleness", minimum=0.1)


WRITTEN = [
    (0, "0s"),
    (0.25, "250ms"),
    (0.0001, "0.1ms"),
    (0.000001, "0.001ms"),
    (0.9999999, "1s"),
    (1, "1s"),
    (1.5, "1.5s"),
    (59.9996, "1m"),
    (60, "1m"),
    (90.5, "1m30.5s"),
    (300, "5m"),
    (3600.5, "1h0.5s"),
    (5400, "1h30m"),
    (10_000, "2h46m40s"),
    (86_400 * 30, "30d"),
    (86_400 * 100 + 0.001, "100d0.001s"),
    (-5, "-5s"),
    (math.inf, "inf"),
    (math.nan, "nan"),
]


@pytest.mark.parametrize(("length", "expected"), WRITTEN)
def test_writes(length: float, expected: str) -> None:
    assert format_duration(length) == expected


@given(st.integers(min_value=1, max_value=10**12))
def test_text_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    length = milliseconds / 1000
    assert parse_duration(format_duration(length), name="ttl") == pytest.approx(length, rel=1e-15, abs=0)


@given(st.floats(min_value=0, max_value=10**9))
def test_text_is_always_read_back(length: float) -> None:
    assert parse_duration(format_duration(length), name="ttl", zero=True) == pytest.approx(length, abs=0.000_501)


@pytest.mark.parametrize("length", [2.0**53 - 1, 2.0**53, 1e300, 1.7e308])
def test_the_longest_lengths_are_written_too(length: float) -> None:
    assert parse_duration(format_duration(length), name="t") == length


@given(st.timedeltas(min_value=timedelta(microseconds=1)))
def test_every_positive_timedelta_is_a_duration(length: timedelta) -> None:
    assert parse_duration(length, name="ttl") == length.total_seconds()


@given(st.text() | st.text("0123456789.dhms ") | st.floats() | st.integers() | st.none() | st.binary())
def test_reads_or_refuses_and_never_anything_else(value: Duration) -> None:
    try:
        assert 0 <= parse_duration(value, name="ttl", zero=True) < math.inf
    except ConfigError as error:
        assert str(error).startswith("ttl = ")  # noqa: PT017 - either outcome is right, and both are checked


def test_what_is_shown_of_a_wrong_value_is_short_and_no_secret() -> None:
    assert shorten("x" * 1000) == repr("x" * 80 + "...")
    assert shorten(2**4096) == "an integer of 4097 bits"
    assert shorten(b"secret") == "a value of type bytes"
    assert shorten({"password": "secret"}) == "a value of type dict"
    assert "secret" not in shorten("redis://:secret@host")
    assert "secret" not in shorten("user:secret@host")
    assert (shorten(True), shorten(None), shorten("\udc80"), shorten(1.5)) == ("True", "None", r"'\udc80'", "1.5")


def test_a_refusal_names_the_value_and_the_choices() -> None:
    assert str(config_error("CACHE_CODEC", "xml", "is unknown", "msgpack")) == (
        "CACHE_CODEC = 'xml' is unknown; accepted: msgpack"
    )
