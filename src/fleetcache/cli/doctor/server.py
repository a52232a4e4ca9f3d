"""The server's own facts and their meaning for a cache: version, tracking, memory, persistence, latency."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

from ...config.durations import format_duration
from ...config.settings import Settings
from ...wire.handshake import ServerInfo
from ...wire.session import ReplyError
from ...wire.tracking_table import LIMIT, bytes_of
from ...wire.tracking_table import NEARLY_FULL as TABLE_NEARLY_FULL
from .findings import Code, Finding, Severity
from .visit import Visit

__all__ = ["Latency", "Server", "findings_on", "judge_latency", "measure", "meet"]

# The oldest release of each line with all fixes that a cache needs. GETEX came with 6.2. Releases 6.2.7 to 6.2.11, and
# 7.0.9, fixed invalidations sent before their reply, invalidations lost with FLUSHALL in MULTI, and a crash at the
# limit of the tracking table.
OLDEST = {6: (6, 2, 11), 7: (7, 0, 9)}
NEARLY_FULL = 0.9
# Open files that a server keeps for itself: it lowers ``maxclients`` to its limit of open files less these.
RESERVED_FILES = 32
MB = 1_000_000
# A tracking table that takes a larger part of a server's memory leaves noticeably less room for entries.
TABLE_SHARE = 0.25
DEFAULT_LIMIT = 1_000_000  # of tracking-table-max-keys


@dataclass(slots=True)
class Server:
    """The server's answers.

    Attributes:
        greeting: The facts from the handshake.
        info: The lines of ``INFO``; empty where ``INFO`` is not permitted.
        save: The rule by which snapshots are written (``""``: none); ``None`` where ``CONFIG`` is not permitted.
        table_limit: Most keys in the tracking table (0: no limit); ``None`` where ``CONFIG`` is not permitted.
    """

    greeting: ServerInfo
    info: dict[str, str] = field(default_factory=dict)
    save: str | None = None
    table_limit: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as a dict, for JSON."""
        names = ("maxmemory", "maxmemory_policy", "used_memory", "aof_enabled", "connected_clients", "maxclients")
        told = {name: self.info.get(name) for name in names}
        greeting = self.greeting
        return {"engine": greeting.engine, "version": greeting.version, "tracking": greeting.tracking, **told} | {
            "save": self.save,
            "tracking_keys": self.tracked("keys"),
            "tracking_readers": self.tracked("items"),
            "tracking_max_keys": self.table_limit,
        }

    def tracked(self, what: str) -> int | None:
        """Return the number of ``keys``, or of ``items`` (a key and one reader), in the tracking table."""
        said = self.info.get(f"tracking_total_{what}")
        return int(said) if said is not None and said.isdecimal() else None


async def meet(visit: Visit, greeting: ServerInfo) -> Server:
    """Ask the server for its facts.

    A refused fact stays unknown and does not count as a fault, because a cache does not need it.
    """
    sections = ("memory", "persistence", "clients", "stats")
    replies = await visit.ask(*(("INFO", section) for section in sections), ("CONFIG", "GET", "save"), LIMIT)
    told = "\n".join(map(_text, replies[: len(sections)]))
    save, limit = map(_configured, replies[len(sections) :])
    info = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return Server(greeting, info, save, int(limit) if limit is not None and limit.isdecimal() else None)


def _configured(reply: Any) -> str | None:
    """Return the value in a reply to ``CONFIG GET``: a map, or with RESP2 a list of keys and values in turn."""
    pairs = list(reply.items()) if isinstance(reply, dict) else [reply] if isinstance(reply, list) else []
    return next((_text(pair[1]) for pair in pairs if len(pair) > 1), None)


def _text(reply: Any) -> str:
    if isinstance(reply, ReplyError):
        return ""
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


def findings_on(server: Server, settings: Settings) -> Iterator[Finding]:
    """Yield the findings on a server's facts."""
    yield _version(server.greeting)
    yield _tracking(server.greeting)
    yield Finding(Code.CLUSTER, Severity.OK, "a server of its own, not part of a cluster")
    if not server.info:
        message = "INFO is not permitted: memory and persistence of the server cannot be checked"
        yield Finding(Code.INFO, Severity.NOTE, message, "grant +info to this user, or check them yourself")
        return
    yield from _connections(server.info)
    yield _maxmemory(server.info)
    if server.greeting.tracking and server.tracked("keys") is not None:
        yield _tracking_table(server, settings)
    yield _persistence(server, settings)


def _version(greeting: ServerInfo) -> Finding:
    said = f"{greeting.engine} {greeting.version or 'of unknown version'}"
    numbers = tuple(int(part) for part in greeting.version.split(".")[:3] if part.isdigit())
    if greeting.engine == "redis" and numbers and numbers < OLDEST.get(numbers[0], (6, 2, 11)):
        wanted = "6.2.11" if numbers[0] < 7 else "7.0.9"  # noqa: PLR2004 - the major version
        message = (
            f"{said} is older than {wanted}: its tracking loses invalidations, so near may answer with removed entries"
        )
        return Finding(Code.VERSION, Severity.PROBLEM, message, f"Redis {wanted} or newer, or any Valkey")
    if greeting.engine not in ("redis", "valkey") or not numbers:
        message = f"{said}: fleetcache is tested with Redis and Valkey alone"
        return Finding(
            Code.VERSION, Severity.NOTE, message, "see that the self-test of tracking passes, here and under load"
        )
    return Finding(Code.VERSION, Severity.OK, said)


def _tracking(greeting: ServerInfo) -> Finding:
    if greeting.tracking:
        message = "the self-test passed: a key was read, changed, and the change was pushed after its reply"
        return Finding(Code.TRACKING, Severity.OK, message)
    message = (
        f"changes are not pushed ({greeting.no_tracking_because}): near copies live a second at most, waiters poll"
    )
    return Finding(
        Code.TRACKING, Severity.WARNING, message, "a server or plan with CLIENT TRACKING, permitted to this user"
    )


def _connections(info: dict[str, str]) -> Iterator[Finding]:
    """Yield a finding on the places for clients, if the server tells them."""
    most, there = int(info.get("maxclients", 0)), int(info.get("connected_clients", 0))
    if not most:
        return
    said = f"{there:,} of {most:,} connections (maxclients) in use; each process with a cache takes one"
    files = most + RESERVED_FILES
    lowered = files >= 256 and files & (files - 1) == 0  # noqa: PLR2004 - a power of two, as the usual limits are
    by_files = f"; the server has lowered it to its limit of open files (ulimit -n {files})" if lowered else ""
    action = "raise the server's `ulimit -n`, then `maxclients`" if lowered else "raise `maxclients`; or fewer clients"
    if there >= NEARLY_FULL * most:
        message = f"{said}{by_files}: clients beyond it are refused, and each of their processes caches for itself"
        yield Finding(Code.CONNECTIONS, Severity.WARNING, message, action)
    elif lowered:
        yield Finding(Code.CONNECTIONS, Severity.NOTE, f"{said}{by_files}", action)
    else:
        yield Finding(Code.CONNECTIONS, Severity.OK, said)


def _maxmemory(info: dict[str, str]) -> Finding:
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    policy = info.get("maxmemory_policy", "noeviction")
    if most == 0:
        message = "maxmemory is not set: the server grows until the system kills it"
        return Finding(Code.MAXMEMORY, Severity.WARNING, message, "maxmemory SIZE and maxmemory-policy allkeys-lru")
    said = f"{used / most:.0%} of maxmemory ({most:,} bytes) used, {policy}"
    if policy == "noeviction":
        message = f"{said}: once it is full nothing is stored any more; values are loaded and answered, not shared"
        severity = Severity.PROBLEM if used >= NEARLY_FULL * most else Severity.WARNING
        action = "maxmemory-policy allkeys-lru; volatile-lru if other programs keep data there that must stay"
        return Finding(Code.MAXMEMORY, severity, message, action)
    if policy.endswith("-random"):
        message = f"{said}: popular entries are evicted as often as all others"
        return Finding(Code.MAXMEMORY, Severity.NOTE, message, policy.replace("random", "lru"))
    return Finding(Code.MAXMEMORY, Severity.OK, said)


def _tracking_table(server: Server, settings: Settings) -> Finding:
    keys, limit = server.tracked("keys") or 0, server.table_limit
    taken = bytes_of(keys, server.tracked("items") or 0)
    said = f"{keys:,} keys are tracked, in about {taken / MB:,.0f} MB"
    most = DEFAULT_LIMIT if limit is None else limit
    of = f"{said}; {'the default limit' if limit is None else 'tracking-table-max-keys'} is {most:,}" if most else said
    if most and keys >= TABLE_NEARLY_FULL * most:
        message = f"{of}: once it is full, near drops entries that nobody changed"
        action = "CONFIG SET tracking-table-max-keys to more keys than the fleet reads; lookups of absent keys count"
        return Finding(Code.TRACKING_TABLE, Severity.WARNING, message, action)
    embedded = settings.resolved_driver == "embedded"
    room = settings.embedded_max_bytes if embedded else int(server.info.get("maxmemory", 0))
    if room and taken >= (TABLE_NEARLY_FULL if embedded else TABLE_SHARE) * room:
        message = f"{said}: {taken / room:.0%} of {room:,} bytes; the server evicts entries to make room for them"
        action = "CACHE_EMBEDDED_MAX_BYTES" if embedded else "a larger maxmemory"
        return Finding(Code.TRACKING_TABLE, Severity.WARNING, message, f"{action}; or fewer entries in near")
    return Finding(Code.TRACKING_TABLE, Severity.OK, of)


def _persistence(server: Server, settings: Settings) -> Finding:
    info, trusted = server.info, settings.trust_restart
    if "err" in (info.get("rdb_last_bgsave_status"), info.get("aof_last_write_status")):
        message = "its last attempt to write to disk failed: it refuses writes and removals, or soon will"
        action = 'its disk; or save "" and appendonly no if it is a cache alone'
        return Finding(Code.PERSISTENCE, Severity.PROBLEM, message, action)
    log, snapshots = info.get("aof_enabled") == "1", bool(server.save)
    kinds = " and ".join(name for name, there in (("a log (AOF)", log), ("snapshots (RDB)", snapshots)) if there)
    if trusted and snapshots and not log:
        message = "CACHE_TRUST_RESTART with snapshots only: entries removed since the last one are back after a restart"
        return Finding(Code.PERSISTENCE, Severity.WARNING, message, "unset CACHE_TRUST_RESTART, or appendonly yes")
    if trusted and kinds:
        message = (
            f"it keeps {kinds}, and CACHE_TRUST_RESTART keeps the entries: removals of the last second may be undone"
        )
        return Finding(Code.PERSISTENCE, Severity.NOTE, message, "unset CACHE_TRUST_RESTART to start cold instead")
    if kinds:
        message = (
            f"it keeps {kinds}, of no use to the cache: it starts cold after a restart, because removals may be undone"
        )
        return Finding(Code.PERSISTENCE, Severity.NOTE, message, 'save "" and appendonly no if it is a cache alone')
    unseen = "; whether it writes snapshots cannot be seen without CONFIG" if server.save is None else ""
    return Finding(Code.PERSISTENCE, Severity.OK, f"nothing is written to a log{unseen or ', no snapshots'}")


# Enough trips to see the slowest in a hundred; over a slow network, as many as fit into the time.
TRIPS, SECONDS = 100, 2.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Round trips in seconds."""

    trips: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, took: list[float]) -> "Latency":
        """Return the latency of one or more measured round trips.

        Example:
            >>> Latency.of([0.001, 0.002, 0.003]).p50
            0.002
        """
        ordered = sorted(took)

        def at(share: float) -> float:
            return ordered[ceil(share * len(ordered)) - 1]

        return cls(len(ordered), at(0.5), at(0.99), ordered[-1])

    def as_dict(self) -> dict[str, float]:
        """Return all fields as a dict, for JSON."""
        return {name: value if name == "trips" else round(value, 6) for name, value in asdict(self).items()}


async def measure(visit: Visit, key: bytes, clock: Callable[[], float]) -> Latency:
    """Ask for one key again and again, and return the latency.

    A refusal takes as long as a reply, so it counts as well.

    Args:
        visit: The connection to the server.
        key: The key to ask for.
        clock: Returns seconds.
    """
    took: list[float] = []
    began = clock()
    while len(took) < TRIPS and clock() - began < SECONDS:
        sent = clock()
        await visit.ask(("GET", key))
        took.append(clock() - sent)
    return Latency.of(took)


def judge_latency(latency: Latency, operation_timeout: float) -> Finding:
    """Compare the latency with the timeout of one operation: a slower reply counts as no answer."""
    p50, p99, longest = (format_duration(trip) for trip in (latency.p50, latency.p99, latency.most))
    said = f"{latency.trips} round trips: p50 {p50}, p99 {p99}, longest {longest}"
    bound = f"CACHE_OPERATION_TIMEOUT is {format_duration(operation_timeout)}"
    action = "a server nearer to the app or with less load; else a longer CACHE_OPERATION_TIMEOUT"
    if latency.p99 >= operation_timeout:
        message = f"{said}; {bound}: such calls count as unanswered"
        return Finding(Code.LATENCY, Severity.PROBLEM, message, action)
    if latency.p99 >= operation_timeout / 2:
        message = f"{said}; {bound}: a little more load, and calls count as unanswered"
        return Finding(Code.LATENCY, Severity.WARNING, message, action)
    return Finding(Code.LATENCY, Severity.OK, f"{said}; {bound}")
