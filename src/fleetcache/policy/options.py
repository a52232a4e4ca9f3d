"""The options of one call, resolved once and frozen: lifetimes, tags, early refresh, offline bound and load timeout.

All arithmetic of an entry's lifetimes is here, so that no other module adds or compares durations itself.
"""

import math
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ..format.entry import GRACE

__all__ = ["EARLY_RANGE", "MINIMUM_TTL", "CallOptions", "Remaining", "seconds_left", "should_refresh_early"]

EARLY_RANGE = 20
"""An entry farther from its end than 20 times its cost starts no early refresh: the chance is under 1 in 10^8."""

MINIMUM_TTL = 0.001
"""Seconds. The server counts in milliseconds, so a shorter life would round to none."""


def seconds_left(pttl_ms: int, stale: float) -> tuple[float, float]:
    """Return the seconds of ``Remaining`` without creating an object, because this is the hit path."""
    until_spent = pttl_ms / 1000 - GRACE
    return until_spent - stale, until_spent


class Remaining(Struct, gc=False, frozen=True):
    """The remaining lifetimes of an entry, in seconds from the moment at which its read was sent."""

    fresh: float
    stale: float

    @property
    def is_fresh(self) -> bool:
        """Whether the entry is within its ttl."""
        return self.fresh > 0

    @property
    def is_stale(self) -> bool:
        """Whether the entry is past its ttl and within its stale time."""
        return self.fresh <= 0 < self.stale

    @classmethod
    def of(cls, pttl_ms: int, stale: float) -> "Remaining":
        """Compute them from the server's remaining milliseconds and the entry's stale time: no clocks are compared."""
        return cls(*seconds_left(pttl_ms, stale))


class CallOptions(Struct, frozen=True):
    """Options of one call, all in seconds.

    Attributes:
        ttl: How long the value is fresh.
        stale: How long after that the stale value may be answered while a load refreshes it (stale-while-revalidate).
        tags: All tags that may invalidate the value, the internal tags first.
        early: Whether a hit close to the end may start a refresh although ``stale`` is 0 (XFetch).
        offline_ttl: Bound of the near cache's answers while the server cannot be reached.
        load_timeout: How long this caller waits for a load; ``None`` = as long as it takes.
        load_limit: How long a load may take before it is ended for all callers; ``None`` = as long as it takes.
        max_loads: How many loads of this function run at once in the process; ``None`` = it has no places of its own.
        errors: The errors that are stored like values, ``DeclaredErrors``; ``None`` = none.
        jitters: Whether an entry stored with these options may be kept for a little less than ``ttl``.
    """

    ttl: float
    stale: float
    tags: tuple[str, ...]
    offline_ttl: float
    early: bool = False
    load_timeout: float | None = None
    load_limit: float | None = None
    max_loads: int | None = None
    jitters: bool = False
    errors: Any = None

    @property
    def server_ttl_ms(self) -> int:
        """Milliseconds for which the server keeps the entry."""
        return max(1, round((self.ttl + self.stale + GRACE) * 1000))

    @property
    def refreshes(self) -> bool:
        """Whether a loader may run in the background for this call at all."""
        return self.early or self.stale > 0

    def for_error(self, ttl: float) -> "CallOptions":
        """Return the options of a stored error, which has a time of its own and is never stale."""
        return replace(self, ttl=ttl, stale=0.0, jitters=False)

    def kept(self, ttl: float | None, stale: float | None) -> "CallOptions":
        """Return the options with the times that the loader's result sets (``Keep``)."""
        return replace(
            self,
            ttl=self.ttl if ttl is None else ttl,
            stale=self.stale if stale is None else stale,
            jitters=self.jitters and ttl is None,
        )

    def shortened(self, share: float, random: Callable[[], float]) -> "CallOptions":
        """Return the options of one entry: up to this share of the ttl is left out, so that entries end apart."""
        if not self.jitters or share <= 0:
            return self
        return replace(self, ttl=max(MINIMUM_TTL, self.ttl * (1.0 - share * random())), jitters=False)

    def bounded(self, longest: float) -> "CallOptions":
        """Return the options cut to ``longest`` seconds: an entry that cannot be invalidated must not live long."""
        if longest >= self.ttl + self.stale:
            return self
        ttl = max(0.0, min(self.ttl, longest))
        return replace(self, ttl=ttl, stale=max(0.0, min(self.stale, longest - ttl)))


def should_refresh_early(fresh_left: float, cost: float, random: Callable[[], float]) -> bool:
    """Return whether a hit this close to the end should start a refresh already.

    This is XFetch, probabilistic early expiration (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache
    Stampede Prevention", VLDB 2015) with beta 1: the costlier the load, the earlier a hit starts the refresh.
    """
    return cost > 0 and fresh_left < EARLY_RANGE * cost and fresh_left <= -cost * math.log(1.0 - random())
