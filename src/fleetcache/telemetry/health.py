"""Health: which driver was asked for, which is in use, why, since when, and what is at stake.

Answered from the link's state. The one thing measured is the round trip of a real command, at most once a second
however many probes ask. Nothing here ever holds a secret.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

__all__ = ["SCHEMA", "Health", "Status", "at_stake"]

SCHEMA = 1
"""Raised when a field of ``Health`` changes its meaning or goes; new fields do not raise it."""

_AT_STAKE = {
    "none": "nothing: one cache for all instances",
    "host": "nothing: one cache for all processes of this user on this host; another host has its own",
    "memory": "every instance keeps its own copies: each loads for itself, and a change is seen by one only",
    "null": "nothing is cached: every call loads",
    "offline": "this instance answers from its own memory: it loads for itself, and changes of others are seen late; "
    "its own removals are kept and repeated when the server is back",
    "store": "values are loaded and answered but not shared: the server refuses to store them",
    "remove": "removals are refused by the server: they are kept here and repeated until it accepts them",
    "read": "the server refuses reads: this instance loads for itself",
    "ttl": "changes are not pushed: near copies live a second at most, and waiters poll",
    "evicting": "the server is full and drops what it was to keep, leases too: what takes long to load may be loaded "
    "more than once, one at a time in each process",
    "closed": "the cache was closed: calls raise",
}


class Status(StrEnum):
    """How well the cache does."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @property
    def http_status(self) -> int:
        """What a probe is answered: 503 for unhealthy alone, for an app that works with less must not be restarted.

        Example:
            >>> Status.DEGRADED.http_status, Status.UNHEALTHY.http_status
            (200, 503)
        """
        return 503 if self is Status.UNHEALTHY else 200


def at_stake(what: str) -> str:
    """One sentence for an operator."""
    return _AT_STAKE[what]


class Health(Struct, frozen=True, kw_only=True):
    """A report, ready for JSON.

    Attributes:
        status: ``healthy``, ``degraded`` (works, with less) or ``unhealthy`` (``CACHE_REQUIRED``, no server; closed).
        driver: The driver asked for, ``auto`` resolved: ``redis``, ``memory``, ``embedded`` or ``null``.
        active: The one in use now: ``memory`` while falling back.
        shared: Whether all instances share one store now; with ``embedded``, all on this host.
        reason: Why it is not as asked: a stable code, ``None`` when it is.
        since: When the present state began, ISO 8601, UTC.
        at_stake: What that means, in a sentence.
        server: Its address without secrets.
        engine: ``redis`` or ``valkey``; ``version`` is the server's.
        link: The link's state; ``epoch`` numbers its lives.
        latency_ms: Round trip of a real command, at most a second old when asked; ``None`` when there was no answer.
        coherence: ``tracking`` (changes are pushed), ``ttl`` (not), ``none`` (no server in use).
        horizon_age: Seconds since the newest answered command was sent.
        journal: Removals still owed to the server.
        near_items, near_bytes, near_max_bytes: How full near is.
        uncached: Functions whose results could not be stored, with how many that were; loaded at every call.
        last_error: The last fault in the server's or the system's own words.
        instance: This process's name on the server.
        fleetcache: This package's version.
        schema: Number of this report's shape.

    Example:
        >>> report = Health(
        ...     status=Status.HEALTHY, driver="memory", active="memory", shared=False, reason="no_redis_url",
        ...     since="2026-01-01T00:00:00+00:00", at_stake=at_stake("memory"), instance="host-1", fleetcache="1.0",
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
    at_stake: str
    instance: str
    fleetcache: str
    server: str | None = None
    engine: str | None = None
    version: str | None = None
    link: str = "none"
    epoch: int = 0
    latency_ms: float | None = None
    coherence: str = "none"
    horizon_age: float | None = None
    journal: int = 0
    near_items: int = 0
    near_bytes: int = 0
    near_max_bytes: int = 0
    uncached: dict[str, int] = {}
    last_error: str | None = None
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    def brief(self) -> dict[str, Any]:
        """What may be shown to anybody: status, driver, active, reason, since."""
        return {name: getattr(self, name) for name in ("status", "driver", "active", "reason", "since")}


def wall_time(ago: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> str:
    """The wall clock ``ago`` seconds ago, for people."""
    return datetime.fromtimestamp(now().timestamp() - ago, UTC).isoformat(timespec="milliseconds")
