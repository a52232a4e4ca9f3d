"""Durations, sizes and counts: any text or number is read, within its bounds, or refused."""

import math
from contextlib import suppress
from datetime import timedelta
from typing import Any

from fleetcache.config.durations import format_duration, parse_duration, shorten
from fleetcache.config.sizes import MAX_SIZE, parse_count, parse_size
from fleetcache.errors import ConfigError
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 150, 4)]) for way in range(10)]
WORDS = (
    "1", "0", "9", "30", "2.5", ".", "d", "h", "m", "s", "ms", " ", "-", "+", "e9", "1e400", "inf", "nan", "_",
    "\u0663", "\u00b2", "B", "kB",
    "KB", "KiB", "MB", "MiB", "GB", "GiB", "mb", "\0", "redis://:x@h", "\ud800",
)  # fmt: skip


def given(source: Source) -> Any:
    """Return any text or number that a user may write."""
    way = source.byte() % 6
    if way == 0:
        return int.from_bytes(source.take(source.byte() % 200), signed=True)
    if way == 1:
        return source.pick(
            (math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0, True, None, b"5s", [], timedelta.max, timedelta.min)
        )
    if way == 2:
        return int.from_bytes(source.take(8)) / 997
    if way == 3:
        return timedelta(microseconds=int.from_bytes(source.take(8), signed=True) // 100)
    return source.text(WORDS)


def one_input(data: bytes) -> None:
    """Read one value as a duration, a size and a count."""
    source = Source(data)
    value = given(source)
    least, most = source.pick(((None, None), (0.1, 60.0), (None, 2_592_000.0)))
    with suppress(ConfigError):
        length = parse_duration(value, name="X", zero=source.byte() % 2 == 1, minimum=least, maximum=most)
        assert type(length) is float
        assert 0 <= length < math.inf
        assert least is None or length >= least
        assert most is None or length <= most
        again = parse_duration(format_duration(length), name="X", zero=True)
        assert abs(again - length) <= max(0.0006, length * 1e-9)
    with suppress(ConfigError):
        assert 0 <= parse_size(value, name="X") <= MAX_SIZE
    with suppress(ConfigError):
        assert 1 <= parse_count(value, name="X") <= MAX_SIZE
    line = shorten(value)
    assert len(line) < 1_000
    assert "redis://" not in line
