"""The floor under hits in memory: the cost of a ``def`` without any work of a cache.

A hit that honours a time to live has to look at a clock, so no method in Python can be nearer to ``dict.get``.
"""

import time
from collections.abc import Mapping, Sequence

from benchmarks.figures import Figures, shown
from benchmarks.rounds import Subject, calling

__all__ = ["BASE", "floors", "told"]

BASE = "dict.get"
_PLAIN, _TIMED = "a def", "a def with a clock"


def floors(key: str, value: str) -> dict[str, Subject]:
    """Return ``dict.get`` itself, a ``def`` around it, and one that also looks at the clock."""
    plain = {key: value}
    ends = dict.fromkeys(plain, float("inf"))

    def look_up(key: str) -> str | None:
        return plain.get(key)

    def look_up_in_time(key: str) -> str | None:
        return plain.get(key) if ends[key] > time.monotonic() else None

    return {
        BASE: calling(plain.get, key),
        _PLAIN: calling(look_up, key),
        _TIMED: calling(look_up_in_time, key),
    }


def told(found: Mapping[str, Sequence[float]]) -> str:
    """Return their costs beside ``dict.get``, as text."""
    plain, timed = (shown(Figures.of({**found, "ours": found[name]}, BASE, {}).ratio) for name in (_PLAIN, _TIMED))
    return f"a `def` that only calls `dict.get` {plain} x, one that also looks at the clock {timed} x"
