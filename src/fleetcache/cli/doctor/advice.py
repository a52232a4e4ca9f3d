"""Findings on a readable configuration, before any server is asked."""

from collections.abc import Iterator, Mapping

from ...config.settings import Settings
from ...config.url import Address
from .container import Limit
from .finding import Code, Finding, Severity

__all__ = ["advise", "workers_from"]

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
    message = f"memory: {many} keeps its own copies, loads for itself, and does not hear what others change"
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
    assumed = "" if workers else " (assumed: say how many with --workers or WEB_CONCURRENCY)"
    server = f" and {_mb(own)} of the embedded server" if own else ""
    said = f"near may take {count} times {_mb(settings.near_max_bytes)}{server}, {_mb(most)} in all{assumed}"
    if limit is None:
        yield Finding(Code.NEAR_MEMORY, Severity.OK, f"{said}; no limit was found to hold that against")
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
            f"database {address.db}: changes in other databases empty near for nothing, since pushes name no database, "
            "and SWAPDB is not noticed at all"
        )
        yield Finding(Code.DATABASE, Severity.WARNING, message, "use database 0; CACHE_PREFIX keeps services apart")
    else:
        yield Finding(Code.DATABASE, Severity.OK, "database 0")
    if address.kind == "tls" and address.ssl_cert_reqs != "required":
        message = f"ssl_cert_reqs={address.ssl_cert_reqs}: whoever answers there gets the password and every value"
        yield Finding(Code.TLS, Severity.WARNING, message, "ssl_ca_certs=FILE with the authority that signed for it")
    elif address.kind == "tcp" and address.host not in _LOCAL:
        message = "without TLS: everybody on the way can read the values, and the password if there is one"
        yield Finding(Code.TLS, Severity.NOTE, message, "rediss:// if the server speaks TLS")


def _pickle(settings: Settings) -> Iterator[Finding]:
    if settings.codec == "pickle":
        message = "CACHE_CODEC is pickle: whoever has CACHE_SIGNING_KEY and may write to the server runs code here"
        yield Finding(Code.PICKLE, Severity.NOTE, message, "msgpack and json run nothing")
