"""The effective configuration, its wrong and mistyped variables, and advice on it, before any server is asked.

``read`` takes the variables that ``Settings.from_env`` takes, and reports every wrong variable, not only the first.
Secrets stay hidden. Only the name of a mistyped variable is shown: its value may be a URL with a password.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from ...config.durations import format_duration, shorten
from ...config.environment import VARIABLES, Variable
from ...config.settings import Settings, problems
from ...config.url import Address, redact
from .findings import Code, Finding, Severity

__all__ = ["Configuration", "Limit", "Row", "advise", "memory_limit", "near_misses", "read", "workers_from"]

ENVIRONMENT, DEFAULT, UNUSED, WRONG = "environment", "default", "unused", "wrong"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        variable: Its environment variable.
        value: The value as people write it; ``***`` stands for a secret.
        source: ``environment``, ``default``, ``unused`` (set, but another setting wins) or ``wrong``.
        meaning: The effect of the setting.
    """

    variable: str
    value: str
    source: str
    meaning: str

    def as_dict(self) -> dict[str, str]:
        """Return all fields as a dict, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration as read; ``settings`` is ``None`` if a cache would refuse to start with it."""

    rows: list[Row]
    findings: list[Finding]
    settings: Settings | None


def read(environ: Mapping[str, str]) -> Configuration:
    """Read the environment as a cache would; return each setting with its source, and the findings.

    Args:
        environ: The variables.

    Example:
        >>> [row.value for row in read({"CACHE_TTL": "90s"}).rows if row.variable == "CACHE_TTL"]
        ['1m30s']
    """
    given = {variable.env: environ.get(variable.env, "").strip() for variable in VARIABLES}
    errors = problems(environ)
    settings = None if errors else Settings.from_env(environ)
    wrong = {name for name, _ in errors}
    unused = _unused(given, settings)
    rows = [_row(variable, given[variable.env], wrong=variable.env in wrong, unused=unused) for variable in VARIABLES]
    action = "correct it: no cache starts with it"
    findings = [Finding(Code.CONFIGURATION, Severity.PROBLEM, error, action, about=name) for name, error in errors]
    fine = Finding(Code.CONFIGURATION, Severity.OK, f"settings given: {sum(map(bool, given.values()))}, all readable")
    return Configuration(rows, findings or [fine], settings)


def _unused(given: dict[str, str], settings: Settings | None) -> set[str]:
    """Return the URLs that are set and not used: the first of two wins, and a driver without a server takes none."""
    urls = [variable.env for variable in VARIABLES if variable.field == "url" and given[variable.env]]
    if settings is not None and settings.address is None:
        return set(urls)
    return set(urls[1:])


def _row(variable: Variable, value: str, *, wrong: bool, unused: set[str]) -> Row:
    if wrong:
        # The finding shows the wrong value, as far as the value cannot be a secret.
        return Row(variable.env, "***", WRONG, variable.meaning)
    source = UNUSED if variable.env in unused else ENVIRONMENT if value else DEFAULT
    return Row(variable.env, _written(variable, value or variable.default), source, variable.meaning)


def _written(variable: Variable, value: Any) -> str:
    if value is None or value == ():
        return "not set"
    if variable.kind == "keys":
        return f"*** ({len(variable.parse(value, name=variable.label))} of them)"
    if variable.kind == "url":
        return redact(str(value))
    if variable.kind == "duration":
        return format_duration(variable.parse(value, name=variable.label))
    if variable.kind == "boolean":
        return str(variable.parse(value, name=variable.label)).lower()
    return shorten(value).strip("'")


NAMES = tuple(variable.env for variable in VARIABLES)
OURS = "CACHE_"
# Users also begin variables with the package's own name.
BEGINNINGS = (OURS, "FLEETCACHE_")
# The ratio of difflib. REDIS_URI and REDIS_URL have 0.89, TTLS and TTL 0.86, MAX_ITEMS and NEAR_MAX_ITEMS 0.78; two
# three-letter words with one letter in common, such as URL and TTL, have 0.33.
ALIKE = 0.75


def near_misses(environ: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each name that resembles a setting, and one for all other names that begin like a setting.

    Args:
        environ: The variables.

    Example:
        >>> [finding.action for finding in near_misses({"CACHE_TTLS": "5m"})]
        ['did you mean CACHE_TTL?']
    """
    names = sorted(name for name in environ if name not in NAMES)
    meant = dict(_meant(names))
    found = [_finding(name, wanted, environ) for name, wanted in meant.items()]
    others = [name for name in names if name.upper().startswith(OURS) and name not in meant]
    if others:
        message = f"not settings of fleetcache, and ignored: {', '.join(others)}"
        found.append(Finding(Code.UNKNOWN_NAME, Severity.NOTE, message))
    return found


def _meant(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that resembles a setting, with that setting."""
    endings = {name.removeprefix(OURS): name for name in NAMES if name.startswith(OURS)}
    for name in names:
        upper = name.upper()
        if upper == "CACHE_URL":  # less similar than the ratio, but other frameworks use this name
            yield name, "CACHE_REDIS_URL"
            continue
        beginning = next((each for each in BEGINNINGS if upper.startswith(each)), None)
        if beginning is not None:
            # Compare without the common beginning, or every CACHE_ABC would look like CACHE_TTL.
            if close := get_close_matches(upper.removeprefix(beginning), endings, 1, ALIKE):
                yield name, endings[close[0]]
        elif upper.startswith("REDIS") and get_close_matches(upper, ["REDIS_URL"], 1, ALIKE):
            yield name, "REDIS_URL"


def _finding(name: str, wanted: str, environ: Mapping[str, str]) -> Finding:
    if environ.get(wanted, "").strip():  # a user who set both knows that there are two
        message = f"{name} is not a setting of fleetcache, and ignored; {wanted} is set"
        return Finding(Code.NEAR_MISS, Severity.NOTE, message, about=name)
    message = f"{name} is set, but is not a setting of fleetcache: it is ignored"
    return Finding(Code.NEAR_MISS, Severity.WARNING, message, f"did you mean {wanted}?", about=name)


# Version 1 has no word for "no limit": it shows the largest number of whole pages instead, just under 2^63 bytes.
V1_NONE = 2**60


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of bytes, and the source of the number."""

    bytes: int
    source: str


def memory_limit(root: Path = Path("/")) -> Limit | None:
    """Return the smallest limit that holds for this process; ``None`` if no limit can be found out.

    Args:
        root: The folder that has ``proc`` and ``sys``.

    Example:
        >>> memory_limit(Path("/nowhere")) is None
        True
    """
    found = [limit for limit in _groups(root) if limit is not None]
    if found:
        return min(found, key=lambda limit: limit.bytes)
    return _machine() if root == Path("/") else None


def _groups(root: Path) -> Iterator[Limit | None]:
    base = root / "sys/fs/cgroup"
    with suppress(OSError, UnicodeDecodeError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers == "":
                yield _smallest(base, path, "memory.max", "cgroup v2")
            elif "memory" in controllers.split(","):
                yield _smallest(base / "memory", path, "memory.limit_in_bytes", "cgroup v1")


def _smallest(base: Path, path: str, name: str, source: str) -> Limit | None:
    """Groups nest, and each may have a limit. In a container the path often exists only for the host."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    numbers = [_number(base.joinpath(*parts[:depth]) / name) for depth in range(len(parts) + 1)]
    limits = [number for number in numbers if number is not None and number < V1_NONE]
    return Limit(min(limits), source) if limits else None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):  # "max" means no limit, and is not a number
        return int(path.read_text())
    return None


def _machine() -> Limit | None:
    with suppress(ValueError, OSError):
        return Limit(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "memory of this machine")
    return None


MB = 10**6
# Shares of the memory that all near caches together may take. The app and its libraries take 60 to 100 MB in each
# worker before the first request, and the system kills a process over the limit without a word.
MUCH, TOO_MUCH = 0.25, 0.5
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def workers_from(environ: Mapping[str, str], option: int | None) -> int | None:
    """Return the number of processes on this host: the option, else ``WEB_CONCURRENCY``; ``None`` if neither is given.

    Example:
        >>> workers_from({"WEB_CONCURRENCY": "4"}, None)
        4
    """
    if option is not None:
        return option
    written = environ.get("WEB_CONCURRENCY", "").strip()
    return int(written) if written.isdigit() and int(written) > 0 else None


def advise(settings: Settings, environ: Mapping[str, str], workers: int | None, limit: Limit | None) -> list[Finding]:
    """Return all findings on the settings alone.

    Args:
        settings: The effective settings.
        environ: The variables that the settings came from.
        workers: Processes on this host, if known.
        limit: The memory that these processes may take, if known.
    """
    return [
        _driver(settings, workers or 1),
        *_unused_url(settings, environ),
        *(Finding(Code.DOUBTFUL, Severity.WARNING, doubt) for doubt in settings.doubts),
        *_prefix(settings),
        *_near_memory(settings, workers, limit),
        *(_place(settings.address) if settings.address is not None else ()),
        *_pickle(settings),
    ]


def _driver(settings: Settings, workers: int) -> Finding:
    driver = settings.resolved_driver
    if driver == "null":
        return Finding(Code.DRIVER, Severity.NOTE, "null: nothing is cached, every call loads", "unset CACHE_DRIVER")
    if driver == "embedded":
        return Finding(Code.DRIVER, Severity.OK, "embedded: one server for all processes of this user on this host")
    if driver != "memory":
        return Finding(Code.DRIVER, Severity.OK, f"{driver}: near copies in each process, one store behind them")
    many = f"each of the {workers} workers" if workers > 1 else "each process"
    message = f"memory: {many} keeps its own copies, loads for itself, and does not see the changes of other processes"
    return Finding(Code.DRIVER, Severity.NOTE, message, "set REDIS_URL to share, or CACHE_DRIVER=embedded on one host")


def _unused_url(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    url = next((name for name in ("CACHE_REDIS_URL", "REDIS_URL") if environ.get(name, "").strip()), None)
    if settings.address is None and url is not None:
        message = f"{url} is set and not used: CACHE_DRIVER is {settings.driver}"
        yield Finding(Code.UNUSED_URL, Severity.NOTE, message, "unset CACHE_DRIVER to use it", about=url)


def _prefix(settings: Settings) -> Iterator[Finding]:
    if not settings.has_server:
        return
    if settings.default_prefix:
        message = f"CACHE_PREFIX is the default {settings.prefix!r}: two services on this server would share entries"
        yield Finding(Code.PREFIX, Severity.WARNING, message, "set CACHE_PREFIX to the name of your service")
    else:
        yield Finding(Code.PREFIX, Severity.OK, f"keys begin with {settings.prefix!r}")


def _near_memory(settings: Settings, workers: int | None, limit: Limit | None) -> Iterator[Finding]:
    own = settings.embedded_max_bytes if settings.resolved_driver == "embedded" else 0
    most = settings.near_max_bytes * (workers or 1) + own
    if settings.resolved_driver == "null" or most == 0:
        return
    count = f"{workers or 1} {'worker' if (workers or 1) == 1 else 'workers'}"
    assumed = "" if workers else " (assumed: give the number with --workers or WEB_CONCURRENCY)"
    server = f" and {_mb(own)} of the embedded server" if own else ""
    said = f"near may take {count} times {_mb(settings.near_max_bytes)}{server}, {_mb(most)} in all{assumed}"
    if limit is None:
        yield Finding(Code.NEAR_MEMORY, Severity.OK, f"{said}; no memory limit was found to compare with")
        return
    share = most / limit.bytes
    said = f"{said}: {share:.0%} of {_mb(limit.bytes)} ({limit.source})"
    if share <= MUCH:
        yield Finding(Code.NEAR_MEMORY, Severity.OK, said)
        return
    severity = Severity.PROBLEM if share > TOO_MUCH else Severity.WARNING
    fits = max(0, int((limit.bytes * MUCH - own) / (workers or 1) / MB))
    action = f"CACHE_NEAR_MAX_BYTES={fits}MB is a quarter of the memory; or fewer workers, or a higher limit"
    yield Finding(Code.NEAR_MEMORY, severity, said, action)


def _mb(size: int) -> str:
    return f"{size / MB:,.0f} MB" if size >= 10 * MB else f"{size / MB:.2g} MB"


def _place(address: Address) -> Iterator[Finding]:
    if address.db:
        message = (
            f"database {address.db}: changes in other databases drop near entries needlessly: pushes name no database, "
            "and SWAPDB is not noticed at all"
        )
        yield Finding(Code.DATABASE, Severity.WARNING, message, "use database 0; CACHE_PREFIX keeps services apart")
    else:
        yield Finding(Code.DATABASE, Severity.OK, "database 0")
    if address.kind == "tls" and address.ssl_cert_reqs != "required":
        message = f"ssl_cert_reqs={address.ssl_cert_reqs}: any server at that address gets the password and every value"
        yield Finding(Code.TLS, Severity.WARNING, message, "ssl_ca_certs=FILE with the authority that signed for it")
    elif address.kind == "tcp" and address.host not in _LOCAL:
        message = "without TLS: anyone on the network path can read the values, and the password if there is one"
        yield Finding(Code.TLS, Severity.NOTE, message, "rediss:// if the server speaks TLS")


def _pickle(settings: Settings) -> Iterator[Finding]:
    if settings.codec == "pickle":
        message = (
            "CACHE_CODEC is pickle: anyone who has CACHE_SIGNING_KEY and can write to the server can run code here"
        )
        yield Finding(Code.PICKLE, Severity.NOTE, message, "msgpack and json execute no code")
