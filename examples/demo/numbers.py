"""The numbers on the screen: scraped from the instances and the origin, or counted by the client that sends requests.

Each instance is asked by ``/healthz`` and ``/metrics``, as an operator's tools would.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from .scene import Scene
from .traffic import Traffic, percentile

__all__ = ["InstanceNumbers", "Numbers", "Watch", "scrape"]

_HISTORY = 200  # values of a curve, if it has room


@dataclass(frozen=True)
class InstanceNumbers:
    """One instance's own report.

    Attributes:
        name: The name of the instance.
        status: healthy, degraded, unhealthy; ``no answer`` without one.
        active: The driver in use.
        reason: The reason why it is not the configured one, if so.
        items: Entries in near.
        near, shared, stale: Hits by tier. A stale entry answers while its value is loaded again.
        late: Answers by entries past their bound, offline and after a failed loader.
        loads: Loaders that answered.
        owed: Removals pending on the server.
    """

    name: str
    status: str = "no answer"
    active: str = ""
    reason: str | None = None
    items: int = 0
    near: int = 0
    shared: int = 0
    stale: int = 0
    late: int = 0
    loads: int = 0
    owed: int = 0


@dataclass(frozen=True)
class Numbers:
    """All numbers at one moment.

    Attributes:
        instances: The instances in their order.
        server: Name and version of the server.
        valkey_alive: True if the server's process runs.
        calls: The origin's counts, see ``Scene.calls``.
        separate: Calls that separate caches of the instances would have made.
        requests, refused, failed: The counts of ``Tally``.
        p50, p95, p99: Percentiles of the newest requests, in seconds.
        rate: Requests a second, since the numbers before.
        slowest: The latest 99th percentiles, oldest first.
    """

    instances: tuple[InstanceNumbers, ...]
    server: str
    valkey_alive: bool
    calls: dict[str, Any]
    separate: int
    requests: int
    refused: int
    failed: int
    p50: float
    p95: float
    p99: float
    rate: float
    slowest: tuple[float, ...]


async def scrape(traffic: Traffic, name: str) -> InstanceNumbers:
    """Ask one instance for its health and its metrics."""
    health, metrics = await asyncio.gather(traffic.request(name, "/healthz"), traffic.request(name, "/metrics"))
    if not (health.status and metrics.ok):
        return InstanceNumbers(name)
    found = {
        (sample.name, *sample.labels.values()): int(sample.value)
        for family in text_string_to_metric_families(metrics.body)
        for sample in family.samples
    }
    return InstanceNumbers(
        name=name,
        status=health.body["status"],
        active=health.body["active"],
        reason=health.body["reason"],
        items=found["fleetcache_near_items",],
        near=found["fleetcache_hits_total", "near"],
        shared=found["fleetcache_hits_total", "shared"],
        stale=found["fleetcache_hits_total", "stale"],
        late=found["fleetcache_offline_stale_served_total",],
        loads=found["fleetcache_loads_total",] - found["fleetcache_load_failures_total",],
        owed=found["fleetcache_journal_entries",],
    )


class Watch:
    """Collects the numbers again and again.

    Args:
        scene: The processes.
        traffic: The client, for its counts, and to ask the instances.
    """

    def __init__(self, scene: Scene, traffic: Traffic) -> None:
        self._scene = scene
        self._traffic = traffic
        self._slowest: deque[float] = deque(maxlen=_HISTORY)
        self._last = (time.monotonic(), 0)

    async def look(self) -> Numbers:
        """Return the numbers of this moment."""
        instances = await asyncio.gather(*(scrape(self._traffic, name) for name in self._traffic.instances))
        calls = await asyncio.to_thread(self._scene.calls)
        tally, now = self._traffic.tally, time.monotonic()
        recent = list(tally.recent) or [0.0]
        p50, p95, p99 = (percentile(recent, percent) for percent in (50, 95, 99))
        (before, requests), self._last = self._last, (now, tally.requests)
        self._slowest.append(p99)
        return Numbers(
            instances=tuple(instances),
            server=self._scene.valkey.version,
            valkey_alive=self._scene.valkey.alive,
            calls=calls,
            separate=len(tally.pairs),
            requests=tally.requests,
            refused=tally.refused,
            failed=tally.failed,
            p50=p50,
            p95=p95,
            p99=p99,
            rate=(tally.requests - requests) / (now - before),
            slowest=tuple(self._slowest),
        )
