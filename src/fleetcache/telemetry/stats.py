"""Counters of events: cheap to increment on the hot path, read by health, metrics and tests."""

from collections import Counter
from typing import Any

from msgspec import Struct, field

from ..config.spelling import renamed

__all__ = ["Counters", "Stats"]


class Counters(Struct):
    """Incremented by the cache's parts as they work; one object per cache, shared with its namespaces."""

    near_hits: int = 0  # ``clock.CountingClock`` counts further near hits
    shared_hits: int = 0
    stale_hits: int = 0
    offline_stale_hits: int = 0  # promise 3's exception: past its bound, because the loader failed offline
    misses: int = 0
    loads: int = 0
    load_failures: int = 0
    load_seconds: float = 0.0
    joins: int = 0
    waits: int = 0
    wait_timeouts: int = 0
    place_waits: int = 0
    place_timeouts: int = 0
    load_limits: int = 0
    leases: int = 0
    claims: int = 0
    refused_swaps: int = 0
    refreshes: int = 0
    uncached: int = 0  # values answered but not kept: not encodable, too large
    uncached_by: Counter[str] = field(default_factory=Counter)  # the same by function
    unusable: Counter[str] = field(default_factory=Counter)  # entries found on the server, by defect
    invalidations: int = 0
    self_invalidations: int = 0
    flush_invalidations: int = 0
    timeouts: int = 0
    overload: int = 0  # operations not sent, because too many were unanswered already
    errors: Counter[str] = field(default_factory=Counter)  # by reason code
    reconnects: int = 0
    replayed: int = 0
    journal_overflows: int = 0  # too many removals to keep one by one, so everything counted as removed
    sets: int = 0
    removals: int = 0

    def snapshot(self, **gauges: Any) -> "Stats":
        """Return a frozen copy, with the gauges and counts that other parts of the cache know."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        values["unusable"], values["errors"] = dict(self.unusable), dict(self.errors)
        values["uncached_by"] = dict(self.uncached_by)
        return Stats(**(values | gauges))


class Stats(Struct, frozen=True, kw_only=True):
    """Counters and gauges of one cache at one moment. Counters only grow for the life of the cache object.

    Attributes:
        near_hits: Reads that the near cache answered.
        shared_hits: Reads that the server answered.
        stale_hits: Reads answered by an entry past its ttl, within its stale time.
        offline_stale_hits: Reads answered by an entry past its bound, because the loader failed offline.
        misses: Reads without an answer, and loads that found none.
        loads: Loaders that returned a value or raised.
        load_failures: Loaders that raised or were cancelled.
        load_seconds: Seconds that loaders took, failed loaders too.
        joins: Calls that joined a load of this process.
        waits: Waits for a load of another process.
        wait_timeouts: Waits that took longer than ``CACHE_LOAD_WAIT``.
        place_waits: Loads that waited for one of the places of ``CACHE_MAX_LOADS``.
        place_timeouts: Loads that waited ``CACHE_LOAD_WAIT`` for a place, and then ran without one.
        load_limits: Loads that took longer than their ``load_limit``.
        leases: Rights to load an absent key, granted to this process.
        claims: Rights to replace an entry, granted to this process.
        refused_swaps: Loaded values not stored, because the key was removed or set meanwhile.
        refreshes: Background loads while the older value answered.
        uncached: Values answered but not kept: not encodable or too large.
        uncached_by: The same by the name of the function.
        unusable: Entries found on the server that could not be used, by defect.
        invalidations: Invalidations that the server pushed because of writes of other processes.
        self_invalidations: Invalidations that the server pushed because of this process's own writes.
        flush_invalidations: Invalidations of everything, after a ``FLUSHALL`` or a lost tracking table.
        timeouts: Operations on the server that timed out.
        overload: Operations not sent, because too many were unanswered.
        errors: Refusals and lost connections, by reason.
        reconnects: Connections made after the first.
        replayed: Removals delivered late, after the server was away.
        journal_overflows: Times that too many removals were pending, so the removal of everything replaced them.
        sets: Values stored by ``set``, ``set_many`` and ``add``.
        removals: Keys and tags removed by this process.
        near_items: Entries in the near cache now.
        near_bytes: Bytes in the near cache now.
        near_evictions: Entries that left the near cache to make room.
        flights: Loads under way in this process now.
        waiters: Calls that wait for a load of another process now.
        queued: Loads that wait for a place now.
        abandoned: Loaders that run on after their ``load_limit``.
        journal: Removals that the server has not acknowledged.
        tag_copies: Tags whose version this process knows.
        link: State of the connection to the server; ``none`` without a server.
        epoch: Number of the connection's present life, from 1.

    Example:
        >>> from fleetcache import SyncCache
        >>> with SyncCache("memory://") as cache:
        ...     cache.set("answer", 42)
        ...     cache.get("answer"), cache.stats().near_hits, cache.stats().link
        (42, 1, 'none')
    """

    near_hits: int
    shared_hits: int
    stale_hits: int
    offline_stale_hits: int
    misses: int
    loads: int
    load_failures: int
    load_seconds: float
    joins: int
    waits: int
    wait_timeouts: int
    place_waits: int
    place_timeouts: int
    load_limits: int
    leases: int
    claims: int
    refused_swaps: int
    refreshes: int
    uncached: int
    uncached_by: dict[str, int]
    unusable: dict[str, int]
    invalidations: int
    self_invalidations: int
    flush_invalidations: int
    timeouts: int
    overload: int
    errors: dict[str, int]
    reconnects: int
    replayed: int
    journal_overflows: int
    sets: int
    removals: int
    near_items: int
    near_bytes: int
    near_evictions: int
    flights: int
    waiters: int
    queued: int
    abandoned: int
    journal: int
    tag_copies: int
    link: str
    epoch: int

    pushes = renamed("pushes", "invalidations")
    own_pushes = renamed("own_pushes", "self_invalidations")
    null_pushes = renamed("null_pushes", "flush_invalidations")
