"""The cache's counters and gauges for Prometheus: one table, read again at every scrape, without awaiting anything.

Labels take their values only from the fixed sets below. No key, tag or address becomes a label, so the number of series
never grows. Each series exists from the start, at 0, so that a rate counts the first error too.
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..telemetry.health import Health, Status
from ..wire.link_state import LinkState
from ..wire.reasons import EMBEDDED
from .watched import Watched

__all__ = ["LINK_STATES", "OTHER", "REASONS", "UNUSABLE", "collector"]

OTHER = "other"
"""The label for a value in none of the sets, such as a reason newer than this table."""

# Reason codes of server refusals and lost connections, see ``wire.faults``.
REASONS = (
    *(
        "auth",
        "busy",
        "cluster_mode",
        "clusterdown",
        "error",
        "loading",
        "masterdown",
        "maxclients",
        "misconf",
        "noperm",
    ),
    *(
        "no_scripts",
        "noproto",
        "noreplicas",
        "noscript",
        "oom",
        "protocol",
        "readonly",
        "refused",
        "reset",
        "timeout",
        "tls",
    ),
    *("unreachable", "wrongtype", *sorted(EMBEDDED)),
)
# Defects of entries found on the server, see ``entries``.
UNUSABLE = ("foreign", "format", "signature", "size", "tags", "value")
# ``none`` where the settings name no server.
LINK_STATES = (*(state.value for state in LinkState), "none")

# Field of Stats: name without _total, help.
_COUNTERS = {
    "misses": ("misses", "Reads that neither near nor shared could answer"),
    "loads": ("loads", "Loaders started"),
    "load_seconds": ("load_seconds", "Time that loaders took, in seconds, failed ones too"),
    "load_failures": ("load_failures", "Loaders that raised or were cancelled"),
    "offline_stale_hits": (
        "offline_stale_served",
        "Answers from an entry past its offline bound, because the loader failed offline",
    ),
    "joins": ("joins", "Calls that joined a load of this process"),
    "waits": ("waits", "Waits for a load of another process"),
    "wait_timeouts": ("wait_timeouts", "Waits that took longer than CACHE_LOAD_WAIT"),
    "place_waits": ("place_waits", "Loads that waited for one of the places of CACHE_MAX_LOADS"),
    "place_timeouts": ("place_timeouts", "Loads that waited CACHE_LOAD_WAIT for a place, and then ran without one"),
    "load_limits": ("load_limits", "Loads that took longer than their load_limit"),
    "leases": ("leases", "Rights to load an absent key, granted to this process"),
    "claims": ("claims", "Rights to replace an existing entry, granted to this process"),
    "refused_swaps": ("refused_swaps", "Loaded values not stored, because the key was removed or set meanwhile"),
    "refreshes": ("refreshes", "Background loads while the older value answered"),
    "uncached": ("uncached", "Values answered but not kept: not encodable or too large"),
    "sets": ("sets", "Values stored by set"),
    "removals": ("removals", "Keys and tags removed by this process"),
    "reconnects": ("reconnects", "Connections made after the first"),
    "replayed": ("replayed", "Removals delivered late, after the server was away"),
    "journal_overflows": (
        "journal_overflows",
        "Times that too many removals were pending, so the removal of everything replaced them",
    ),
    "timeouts": ("timeouts", "Operations on the server that timed out"),
    "overload": ("overload", "Operations not sent, because too much was unanswered"),
    "near_evictions": ("near_evictions", "Entries that near evicted to make room"),
}
# Field of Stats: name, help.
_GAUGES = {
    "near_items": ("near_items", "Entries in near"),
    "near_bytes": ("near_bytes", "Bytes in near"),
    "flights": ("flights", "Loads under way in this process"),
    "waiters": ("waiters", "Calls waiting for a load of another process"),
    "queued": ("queued_loads", "Loads waiting for one of the places of CACHE_MAX_LOADS"),
    "abandoned": ("abandoned_loads", "Loaders that run on after their load_limit"),
    "tag_copies": ("tag_copies", "Tags whose version this process knows"),
    "journal": ("journal_entries", "Removals that the server has not acknowledged"),
    "epoch": ("link_epoch", "Number of the current connection"),
}


def collector(cache: Watched) -> Collector:
    """Return a collector of the cache's metrics, for a registry that you already have.

    A scrape never waits and never sends a command to the server. Each process of an app has its own numbers.

    Args:
        cache: The cache. Its numbers include its namespaces. A second cache needs its own registry, because
            metrics of the same name would collide.

    Returns:
        A collector of prometheus-client.

    Example:
        >>> from fleetcache import Cache
        >>> from prometheus_client import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> registry.register(collector(Cache("memory://")))
        >>> registry.get_sample_value("fleetcache_up")
        1.0
    """
    return _CacheCollector(cache)


class _CacheCollector(Collector):
    def __init__(self, cache: Watched) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        """Yield all metric families, from one snapshot of the cache."""
        stats, health = self._cache.stats(), self._cache.status_now()
        for field, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(f"fleetcache_{name}", text, value=getattr(stats, field))
        for field, (name, text) in _GAUGES.items():
            yield GaugeMetricFamily(f"fleetcache_{name}", text, value=getattr(stats, field))
        yield _labelled(
            CounterMetricFamily("fleetcache_hits", "Reads answered, by the tier that answered", labels=["tier"]),
            {"near": stats.near_hits, "shared": stats.shared_hits, "stale": stats.stale_hits},
        )
        yield _labelled(
            CounterMetricFamily(
                "fleetcache_invalidations", "Invalidations that the server pushed, by cause", labels=["kind"]
            ),
            {"own": stats.self_invalidations, "null": stats.flush_invalidations, "foreign": stats.invalidations},
        )
        yield _labelled(
            CounterMetricFamily("fleetcache_unusable", "Entries found on the server, by defect", labels=["kind"]),
            _bounded(stats.unusable, UNUSABLE),
        )
        yield _labelled(
            CounterMetricFamily("fleetcache_errors", "Refusals and lost connections, by reason", labels=["reason"]),
            _bounded(stats.errors, REASONS),
        )
        yield _labelled(
            GaugeMetricFamily("fleetcache_link_state", "1 for the state the link is in, else 0", labels=["state"]),
            {state: state == stats.link for state in LINK_STATES},
        )
        degraded, up = health.status is not Status.HEALTHY, health.status is not Status.UNHEALTHY
        yield GaugeMetricFamily("fleetcache_degraded", "1 while the cache is degraded or unhealthy", float(degraded))
        yield GaugeMetricFamily("fleetcache_up", "0 while the cache is unhealthy", float(up))
        yield GaugeMetricFamily("fleetcache_near_max_bytes", "Bytes near may hold", health.near_max_bytes)
        yield from _tracking(health)


def _tracking(health: Health) -> Iterable[Metric]:
    """Yield the numbers of the server's tracking table; each is 0 if it is unknown."""
    keys, limit, share = health.tracking_keys or 0, health.tracking_max_keys or 0, health.tracking_table or 0.0
    yield GaugeMetricFamily("fleetcache_tracking_keys", "Keys in the server's tracking table", keys)
    yield GaugeMetricFamily("fleetcache_tracking_max_keys", "Keys it may hold, 0 for no limit", limit)
    yield GaugeMetricFamily("fleetcache_tracking_table", "Part of the tracking table in use, 1 if it is full", share)


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]
) -> CounterMetricFamily | GaugeMetricFamily:
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def _bounded(counts: Mapping[str, int], known: tuple[str, ...]) -> dict[str, int]:
    """Return the count of each known label, and the sum of unknown labels under ``other``."""
    values = {label: counts.get(label, 0) for label in known}
    return values | {OTHER: sum(count for label, count in counts.items() if label not in values)}
