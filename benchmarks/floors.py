"""The floor under hits in memory: what a ``def`` costs before it has done anything that a cache does.

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
    """``dict.get`` itself, a ``def`` around it, and one that also looks at the clock."""
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
    """What they came to, beside ``dict.get``."""
    plain, timed = (shown(Figures.of({**found, "ours": found[name]}, BASE, {}).ratio) for name in (_PLAIN, _TIMED))
    return f"a `def` that only calls `dict.get` {plain} x, one that also looks at the clock {timed} x"
