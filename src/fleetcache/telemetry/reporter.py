"""The health report, made from the parts of an engine. Only this module maps a state to its meaning for an operator."""

from functools import cache
from typing import Any, Protocol

from ..clock import Clock
from ..config.settings import Driver, Settings
from ..config.url import Address
from ..futures import Future
from ..wire.link_state import Link, LinkState
from .health import Health, Status, impact, wall_time
from .stats import Counters, Stats

__all__ = ["Reporter"]

# Seconds between two live commands for health probes.
PROBE_EVERY = 1.0


class Reported(Protocol):
    """The parts of an engine that a report reads. This room knows the types of its own classes and of the link only."""

    clock: Clock
    settings: Settings
    address: Address | None
    embedded_host: Any
    wire: Any
    shared: Any
    coherence: Any
    recovery: Any
    near: Any
    flights: Any
    ticks: Any
    counters: Counters
    policy: Any
    ports: Any
    link: Any
    driver: Driver
    instance: str
    closed: bool

    @property
    def offline_since(self) -> float | None: ...


class Reporter:
    """Reports on one engine, and measures the round trip to its server."""

    def __init__(self, engine: Reported) -> None:
        self._engine = engine
        self._started = engine.clock()
        self._latency: float | None = None
        self._probed = -float("inf")
        self._asking: list[Future] | None = None  # futures of the probes that wait for the current measurement
        self._told_since = (0.0, "")

    def stats(self) -> Stats:
        """Return counters and gauges."""
        engine = self._engine
        return engine.counters.snapshot(
            near_hits=engine.counters.near_hits + engine.ticks.count,
            near_items=len(engine.near),
            near_bytes=engine.near.bytes,
            near_evictions=engine.near.evictions,
            flights=len(engine.flights),
            waiters=engine.coherence.waiters,
            queued=engine.policy.loading.places.queued,
            abandoned=engine.policy.loading.limits.abandoned,
            journal=len(engine.coherence.journal),
            tag_copies=len(engine.coherence.copies),
            link=engine.link.state.value if isinstance(engine.link, Link) else "none",
            epoch=engine.link.epoch,
        )

    async def probe(self) -> None:
        """Measure a round trip, at most once a second; concurrent probes share one measurement."""
        engine = self._engine
        until = engine.clock() + engine.settings.operation_timeout
        if self._asking is not None:
            future = engine.ports.future()
            self._asking.append(future)
            await engine.ports.wait(future, until)
            return
        if engine.wire is None or engine.clock() - self._probed < PROBE_EVERY:
            return
        asking = self._asking = []
        try:
            await self._measure(until)
        finally:
            self._asking = None
            for future in asking:
                if not future.done():
                    future.set_result(None)

    async def _measure(self, until: float) -> None:
        engine = self._engine
        self._probed = began = engine.clock()
        future = engine.shared.ping()
        self._latency = None
        if future is not None:
            answer = await engine.ports.wait(future, until)
            if answer is None or isinstance(answer, bytes):
                self._latency = round((engine.clock() - began) * 1000, 3)

    def forget(self) -> None:
        """Drop the measured latency after a fork or a change of event loop."""
        self._asking, self._latency, self._probed = None, None, -float("inf")

    def report(self) -> Health:
        """Return the report from known state, without a command to the server."""
        engine = self._engine
        now = engine.clock()
        status, reason, since, stake, said = self._judge()
        wire, link, table = engine.wire, engine.link, engine.recovery.table
        greeting = wire.greeting if wire is not None else None
        address = engine.address
        online = engine.shared.usable
        heard = isinstance(link, Link) and link.confirmed > -float("inf")
        return Health(
            status=status,
            driver=engine.driver,
            active=engine.driver if online or not isinstance(link, Link) else "memory",
            shared=online,
            reason=reason,
            since=self._wall_since(since, now),
            impact=impact(stake),
            instance=engine.instance,
            fleetcache=_own_version(),
            server=address.safe if address is not None else None,
            engine=greeting.engine if greeting is not None else None,
            version=greeting.version if greeting is not None else None,
            link="none" if not isinstance(link, Link) else link.state.value,
            epoch=link.epoch,
            latency_ms=self._latency if online else None,
            coherence=("tracking" if engine.coherence.tracking else "ttl") if online else "none",
            last_reply_age=round(now - link.confirmed, 3) if heard else None,
            journal=len(engine.coherence.journal),
            near_items=len(engine.near),
            near_bytes=engine.near.bytes,
            near_max_bytes=engine.near.max_bytes,
            queued=engine.policy.loading.places.queued,
            abandoned=engine.policy.loading.limits.abandoned,
            tracking_keys=table.keys if online else None,
            tracking_max_keys=table.limit if online else None,
            tracking_table=round(table.share, 3) if online and table.keys is not None else None,
            uncached=dict(engine.counters.uncached_by),
            last_error=said if said is not None or wire is None else wire.last_error,
        )

    def _wall_since(self, since: float, now: float) -> str:
        """Return the wall-clock text of ``since``, computed once per state.

        Two clocks are read for it, and their drift must not make an unchanged report look changed.
        """
        if self._told_since[0] != since:
            self._told_since = (since, wall_time(now - since))
        return self._told_since[1]

    def _judge(self) -> tuple[Status, str | None, float, str, str | None]:
        """Return status, reason, since (on the engine's clock), consequences, and the server's words if they apply."""
        engine = self._engine
        link = engine.link
        if engine.closed:
            return Status.UNHEALTHY, "closed", link.since, "closed", None
        if not isinstance(link, Link):
            no_url = engine.settings.driver == "auto"
            return Status.HEALTHY, "no_redis_url" if no_url else None, self._started, engine.driver, None
        lacking = Status.UNHEALTHY if engine.settings.required else Status.DEGRADED
        if link.state is not LinkState.ONLINE:
            reason = link.reason or ("connecting" if link.state is not LinkState.SUSPECT else "timeout")
            since = link.since if engine.offline_since is None else engine.offline_since
            return lacking, reason, since, "offline", None
        return self._judge_online(link)

    def _judge_online(self, link: Link) -> tuple[Status, str | None, float, str, str | None]:
        """Return the same for a server that answers."""
        engine = self._engine
        for kind in ("read", "store", "remove"):
            refusal = engine.shared.refusals.get(kind)
            if refusal is not None:
                reason, since, said = refusal
                return Status.DEGRADED, reason, since, kind, said
        if not engine.coherence.tracking:
            greeting = engine.wire.greeting if engine.wire is not None else None
            reason = "no_tracking" if greeting is None or greeting.resp3 else "resp2"
            return (
                Status.DEGRADED,
                reason,
                link.since,
                "ttl",
                None if greeting is None else greeting.no_tracking_because,
            )
        turnover = engine.coherence.turnover
        if turnover.evicting:  # a cache's server may evict, so the state is healthy
            return Status.HEALTHY, "evicting", turnover.since, "evicting", None
        table = engine.recovery.table
        if table.is_nearly_full:
            return Status.HEALTHY, "tracking_table", table.since, "tracking_table", None
        return Status.HEALTHY, None, link.since, "none" if engine.embedded_host is None else "host", None


@cache
def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - the import takes 20 ms, which no start needs

    try:
        return version("fleetcache")
    except PackageNotFoundError:  # the package was copied into an app without its metadata: still report
        return "unknown"
