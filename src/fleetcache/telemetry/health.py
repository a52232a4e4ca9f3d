"""Health: the driver asked for, the driver in use, why they differ, since when, and the consequences.

The report comes from the link's state. Only the round trip of a real command is measured, at most once a second for
any number of probes. The report never holds a secret.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from ..config.spelling import renamed

__all__ = ["SCHEMA", "Health", "Status", "impact"]

SCHEMA = 1
"""Version of the report: raised when a field of ``Health`` changes its meaning or is removed, not for new fields."""

_AT_STAKE = {
    "none": "nothing: one cache for all instances",
    "host": "nothing: one cache for all processes of this user on this host; another host has its own",
    "memory": "every instance keeps its own copies: each loads for itself, and only one sees a change",
    "null": "nothing is cached: every call loads",
    "offline": "this instance answers from its own memory: it loads for itself, and sees "
    "changes of other instances late; its own removals are kept and repeated when the server is back",
    "store": "values are loaded and answered but not shared: the server refuses to store them",
    "remove": "removals are refused by the server: they are kept here and repeated until it accepts them",
    "read": "the server refuses reads: this instance loads for itself",
    "ttl": "changes are not pushed: near copies live a second at most, and waiters poll",
    "evicting": "the server is full and drops entries, including leases: a value that takes long to load may be loaded "
    "more than once, one at a time in each process",
    "tracking_table": "the server's tracking table is nearly full; when it is full, near caches drop entries that "
    "nobody changed, or an embedded server drops entries to make room for the table",
    "closed": "the cache was closed: calls raise",
}


class Status(StrEnum):
    """State of the cache in one word: ``healthy``, ``degraded`` (it works with reduced function) or ``unhealthy``.

    Example:
        >>> Status("degraded") is Status.DEGRADED, Status.DEGRADED == "degraded"
        (True, True)
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @property
    def http_status(self) -> int:
        """Return the HTTP status for a probe: 503 for unhealthy only.

        An orchestrator must not restart an app that still works in the degraded state.

        Example:
            >>> Status.DEGRADED.http_status, Status.UNHEALTHY.http_status
            (200, 503)
        """
        return 503 if self is Status.UNHEALTHY else 200


def impact(what: str) -> str:
    """Return one sentence for an operator: the consequences of a state."""
    return _AT_STAKE[what]


class Health(Struct, frozen=True, kw_only=True):
    """A report, ready for JSON.

    Attributes:
        status: ``healthy``, ``degraded`` (the cache works with reduced function) or ``unhealthy`` (no server although
            ``CACHE_REQUIRED`` is set, or the cache is closed).
        driver: The driver asked for, ``auto`` resolved: ``redis``, ``memory``, ``embedded`` or ``null``.
        active: The driver in use now: ``memory`` while falling back.
        shared: Whether all instances share one store now; with ``embedded``, all on this host.
        reason: Why the cache differs from the settings, as a stable code; ``None`` when it does not.
        since: When the present state began, ISO 8601, UTC.
        impact: The consequences of the state, in a sentence.
        server: The server's address without secrets.
        engine: ``redis`` or ``valkey``.
        version: The server's version.
        link: State of the connection to the server.
        epoch: Number of successful handshakes of the connection.
        latency_ms: Round trip of a real command, at most a second old when asked; ``None`` when there was no answer.
        coherence: ``tracking`` (changes are pushed), ``ttl`` (not), ``none`` (no server in use).
        last_reply_age: Seconds since the newest answered command was sent.
        journal: Removals not yet delivered to the server.
        near_items, near_bytes, near_max_bytes: Entries and bytes in the near cache, and its limit.
        queued: Loads that wait for one of the places of ``CACHE_MAX_LOADS``.
        abandoned: Loaders that run on after their ``load_limit``: a thread cannot be ended, and a task may ignore its
            cancellation.
        tracking_keys, tracking_max_keys: Keys in the server's tracking table, and its limit; ``None`` if unknown, or if
            there is no limit.
        tracking_table: Part of the tracking table that is in use, 1.0 if it is full; ``None`` if unknown.
        uncached: Functions whose results could not be stored, each with the number of such results. Such a function
            is loaded at every call.
        last_error: The last fault, in the server's or the system's own words.
        instance: This process's name on the server.
        fleetcache: This package's version.
        schema: Number of this report's shape.

    Example:
        >>> report = Health(
        ...     status=Status.HEALTHY, driver="memory", active="memory", shared=False, reason="no_redis_url",
        ...     since="2026-01-01T00:00:00+00:00", impact=impact("memory"), instance="host-1", fleetcache="1.0",
        ... )
        >>> report.as_dict()["active"]
        'memory'
    """

    status: Status
    driver: str
    active: str
    shared: bool
    reason: str | None
    since: str
    impact: str
    instance: str
    fleetcache: str
    server: str | None = None
    engine: str | None = None
    version: str | None = None
    link: str = "none"
    epoch: int = 0
    latency_ms: float | None = None
    coherence: str = "none"
    last_reply_age: float | None = None
    journal: int = 0
    near_items: int = 0
    near_bytes: int = 0
    near_max_bytes: int = 0
    queued: int = 0
    abandoned: int = 0
    tracking_keys: int | None = None
    tracking_max_keys: int | None = None
    tracking_table: float | None = None
    uncached: dict[str, int] = {}
    last_error: str | None = None
    schema: int = SCHEMA

    at_stake = renamed("at_stake", "impact")
    horizon_age = renamed("horizon_age", "last_reply_age")

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON.

        Example:
            >>> from fleetcache import Cache
            >>> Cache("memory://").status_now().as_dict()["driver"]
            'memory'
        """
        return asdict(self)

    def brief(self) -> dict[str, Any]:
        """Return the fields that are safe for the public: status, driver, active, reason, since.

        Example:
            >>> from fleetcache import Cache
            >>> sorted(Cache("memory://").status_now().brief())
            ['active', 'driver', 'reason', 'since', 'status']
        """
        return {name: getattr(self, name) for name in ("status", "driver", "active", "reason", "since")}


def wall_time(ago: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> str:
    """Return the wall-clock time ``ago`` seconds ago, as text for people."""
    return datetime.fromtimestamp(now().timestamp() - ago, UTC).isoformat(timespec="milliseconds")
