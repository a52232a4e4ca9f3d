"""The examination: the configuration, then a cache with it, then the server itself. One function, one report."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from time import perf_counter

from ...api.cache import Cache
from ...config.settings import Settings
from ...config.url import Address
from ...format.keys import Layout, check_key
from ...telemetry.health import Health, Status
from ...wire.closings import Closings
from ...wire.handshake import HandshakeError, ServerInfo
from ...wire.reasons import EMBEDDED, connect_reason
from ...wire.session import ProtocolError
from . import permissions, server
from .configuration import advise, memory_limit, near_misses, read, workers_from
from .findings import REASONS, Code, Finding, Severity
from .key_report import KeyReport, explain_key
from .report import Report
from .visit import Visit

__all__ = ["examine"]

# With these reasons no server can be asked any more, and the health report has said why.
_AWAY = frozenset({"refused", "unreachable", "timeout", "reset", "protocol", "tls", "auth", "maxclients"}) | EMBEDDED
# With these reasons the server answers but no cache can use it, so its setup does not matter.
_ANOTHER = frozenset({"cluster_mode", "readonly"})

# Reasons that a cache reports when one end speaks TLS and the other does not.
_SILENT = frozenset({"timeout", "reset", "protocol"})
_OTHER_END = {
    "tcp": "or rediss:// in the URL, if the server speaks TLS there",
    "tls": "or redis:// in the URL, if the server speaks no TLS there",
}


async def examine(
    environ: Mapping[str, str],
    *,
    key: str | None = None,
    workers: int | None = None,
    root: Path = Path("/"),
    clock: Callable[[], float] = perf_counter,
) -> Report:
    """Examine the configuration, a cache with it, and its server; return the report.

    Args:
        environ: The variables a cache would read.
        key: A key to explain as well.
        workers: Processes on this host; ``WEB_CONCURRENCY`` by default.
        root: The folder that has ``proc`` and ``sys``.
        clock: Returns seconds, to measure round trips with.

    Raises:
        KeyRuleError: ``key`` breaks the rules for keys.

    Example:
        >>> import asyncio
        >>> asyncio.run(examine({"CACHE_DRIVER": "memory"})).exit_status
        0
    """
    if key is not None:
        check_key(key)
    with _quiet():
        configuration = read(environ)
    report = Report(version("fleetcache"), configuration.rows, [*configuration.findings, *near_misses(environ)])
    settings = configuration.settings
    if settings is None:
        return report
    report.findings += advise(settings, environ, workers_from(environ, workers), memory_limit(root))
    with _quiet():
        await _with_a_cache(report, settings, key, clock)
    return report


async def _with_a_cache(report: Report, settings: Settings, key: str | None, clock: Callable[[], float]) -> None:
    """Open a cache as the app would and report its health; then ask its server."""
    name = f"doctor-{token_hex(4)}"
    async with Cache(settings=settings) as cache:
        if settings.has_server:
            await _use(cache, name)
        health = await cache.health()
        report.health = health.as_dict()
        engine = cache._engine  # noqa: SLF001 - has the address of a server that the cache itself started
        address, reconnector = engine.address, engine.reconnector
        if address is None or reconnector is None:
            if key is not None:
                report.key = await _alone(cache, key)
            return
        report.findings.append(_server(health, address))
        if health.reason in _AWAY:
            return
        try:
            await _visit(report, cache, (address, reconnector.closings), (name, key, clock))
        except (OSError, ProtocolError) as error:
            report.findings.append(_lost(error))


async def _use(cache: Cache, key: str) -> None:
    """Load, set and delete once as an app does: only then does a server show that it is full or refuses commands."""

    async def load() -> str:
        return "loaded"

    await cache.get_or_set(key, load, ttl=10)
    await cache.set(key, "set", ttl=10)
    await cache.delete(key)


def _server(health: Health, address: Address) -> Finding:
    """Return the finding on the health of a cache with this configuration."""
    if health.status is Status.HEALTHY:
        return Finding(Code.SERVER, Severity.OK, f"reached: {health.server}")
    reason = health.reason or "error"
    what, action = REASONS.get(reason, (reason, "read the server's message"))
    if reason in _SILENT and address.kind in _OTHER_END:
        action += f"; {_OTHER_END[address.kind]}"
    said = f" ({health.last_error})" if health.last_error else ""
    message = f"{health.server}: {what}{said}: {health.impact}"
    # Without tracking a cache is degraded, too, and another finding reports that.
    severity = Severity.NOTE if reason in ("no_tracking", "resp2") else Severity.PROBLEM
    return Finding(Code.SERVER, severity, message, action, reason=reason)


def _lost(error: Exception) -> Finding:
    reason = connect_reason(error)
    what, action = REASONS.get(reason, (reason, ""))
    return Finding(Code.SERVER, Severity.PROBLEM, f"a second connection failed: {what}", action, reason=reason)


async def _visit(
    report: Report, cache: Cache, there: tuple[Address, Closings], asked: tuple[str, str | None, Callable[[], float]]
) -> None:
    """Ask the server on a connection of the doctor's own."""
    name, key, clock = asked
    settings, (address, closings) = cache.settings, there
    layout = Layout(settings.prefix)
    # One question may take as long as a whole handshake: a slow server should be measured, not given up.
    async with await Visit.to(address, settings.connect_timeout, closings) as visit:
        greeting = ServerInfo()
        try:
            greeting = await visit.shake_hands(address, layout.probe(name))
        except HandshakeError as error:
            if error.reason == "cluster_mode":
                what, action = REASONS[error.reason]
                report.findings.append(Finding(Code.CLUSTER, Severity.PROBLEM, what, action))
            if error.reason in _ANOTHER:
                return
            greeting.no_tracking_because = f"the handshake ended before: {error}"
        met = await server.meet(visit, greeting)
        report.server = met.as_dict()
        report.findings += server.findings_on(met, settings)
        user = address.username or "default"
        report.acl_line = permissions.acl_line(settings.prefix)
        report.permissions = await permissions.check(visit, layout, user, name)
        report.findings += permissions.findings_on(report.permissions)
        report.latency = await server.measure(visit, layout.tag("*"), clock)
        report.findings.append(server.judge_latency(report.latency, settings.operation_timeout))
        if key is not None:
            report.key = await explain_key(cache, visit, layout, key)


async def _alone(cache: Cache, key: str) -> KeyReport:
    """Report on a key without a server: there is only the near cache, and that of this process has just begun."""
    seen = await cache.explain(key)
    return KeyReport(key, seen.server_key, "none", f"no server: the driver is {cache.settings.resolved_driver}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log of the cache: the report says the same in words for people."""
    log = logging.getLogger("fleetcache")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
