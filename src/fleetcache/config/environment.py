"""The table of settings: variable, conversion, default, meaning and reason of each.

``Settings``, its checks at construction and the page of settings in the documentation all read this table.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from ..errors import ConfigError
from .durations import MAX_TTL, Duration, config_error, format_duration, parse_duration
from .sizes import parse_count, parse_share, parse_size
from .url import BOOLEANS

__all__ = ["CODECS", "DRIVERS", "MAX_EMBEDDED_DIR", "MAX_PREFIX", "VARIABLES", "Variable"]

DRIVERS = "auto, redis, memory, embedded, null"
CODECS = "msgpack, json, pickle"
MAX_OPERATION = 10.0  # seconds; no caller waits longer for a cache, and in other libraries "timeout" is a lifetime
MAX_CONNECT = 60.0  # seconds; a server that takes longer is unavailable
MIN_STALENESS = 0.1  # seconds; below, every pause of the process's own loop would look like a silent server
MAX_STALENESS = 60.0  # seconds; above, no user would call the bound "soon"
MAX_JITTER = 0.5  # beyond, the ttl that the caller wrote would say little about the life of an entry
MAX_VALUE = 512 * 10**6  # bytes; the servers' own limit is 512 MiB, and this limit leaves room for the entry's header
MAX_PREFIX = 64  # bytes; the prefix is stored once per key
MAX_EMBEDDED_DIR = 76  # bytes; 103 with the private folder and the socket's name, the limit of macOS (Linux: 107)
MIN_EMBEDDED = 8 * 10**6  # bytes; the empty server needs one to two million, and its connections need more
MIN_KEY = 32  # bytes; as strong as a signature of 256 bits


def _choice(value: object, *, name: str, choices: str) -> str:
    word = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(word, str) or word not in choices.split(", "):
        raise config_error(name, value, "is unknown", choices)
    return word


def _url(value: object, *, name: str) -> str | None:
    """Check only that the URL is text. It is read where it is used, and the driver ``memory`` does not use it."""
    if value is not None and not isinstance(value, str):
        raise config_error(name, value, "is not a URL", "text such as redis://localhost:6379/0")
    return (value or "").strip() or None


def _prefix(value: object, *, name: str) -> str:
    accepted = f"1 to {MAX_PREFIX} bytes without blanks, control characters and braces, no colon at either end"
    if not isinstance(value, str) or not value:
        raise config_error(name, value, "is not a prefix", accepted)
    if "://" in value:  # a URL in the wrong variable: as a prefix it would put its password into every key
        raise config_error(name, value, "is a URL", accepted)
    if not value.isprintable() or set(value) & set("{} ") or value.strip(":") != value:
        raise config_error(name, value, "would break keys", accepted)
    if len(value.encode()) > MAX_PREFIX:
        raise config_error(name, value, "is too long", accepted)
    return value


def _embedded_dir(value: object, *, name: str) -> str | None:
    """Check only how the path is written. Its first use shows whether it is usable, and health reports the result."""
    accepted = f"an absolute path of at most {MAX_EMBEDDED_DIR} bytes, because a socket has to fit into it"
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
        raise config_error(name, value, "is not a place for a server", accepted)
    if len(value.encode()) > MAX_EMBEDDED_DIR:
        raise config_error(name, value, "is too long", accepted)
    return value


def _operation_timeout(value: Duration, *, name: str) -> float:
    result = parse_duration(value, name=name)
    if result > MAX_OPERATION:
        problem = (
            f"is over {format_duration(MAX_OPERATION)}: this is the time that one operation on the server may take"
        )
        raise config_error(name, value, problem, "a shorter one; the lifetime of entries is CACHE_TTL (ttl)")
    return result


def _load_limit(value: Duration | None, *, name: str) -> float | None:
    return None if value is None else parse_duration(value, name=name)


def _max_loads(value: int | str | None, *, name: str) -> int | None:
    return None if value is None else parse_count(value, name=name, minimum=0)


def _boolean(value: object, *, name: str) -> bool:
    result = BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(result, bool):
        raise config_error(name, value, "is not a boolean", ", ".join(BOOLEANS))
    return result


def _signing_keys(value: object, *, name: str) -> tuple[bytes, ...]:
    """Return the keys from text or bytes; an error gives the length of a short key and nothing else of it."""
    keys = value.split(",") if isinstance(value, str) else [value] if isinstance(value, bytes) else value
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str | bytes) for key in keys):
        raise ConfigError(f"{name} is a value of type {type(value).__name__}; accepted: a tuple of bytes")
    result = tuple(key.strip().encode(errors="surrogatepass") if isinstance(key, str) else key for key in keys)
    for number, key in enumerate(result, start=1):
        if len(key) < MIN_KEY:
            problem = f"{name}: key {number} of {len(result)} has {len(key)} bytes"
            raise ConfigError(f"{problem}; accepted: {MIN_KEY} bytes or more each, new,old to rotate")
    return result


class Variable(Struct, frozen=True):
    """One setting.

    Attributes:
        env: The setting's environment variable.
        field: The setting's name as an argument and attribute of ``Settings``.
        kind: The kind of its values: choice, url, text, duration, size, count, share, boolean, keys.
        default: The value without a setting, as a user would write it.
        parse: Called with the value and ``name=`` for the error; returns the value for ``Settings``.
        meaning: The effect of the setting.
        reason: The reason for the default.
    """

    env: str
    field: str
    kind: str
    default: Any
    parse: Callable[..., Any]
    meaning: str
    reason: str

    @property
    def label(self) -> str:
        """The setting's name in errors: the variable and the argument."""
        return f"{self.env} ({self.field})"


_lifetime = partial(parse_duration, maximum=MAX_TTL)
_lifetime_or_none = partial(parse_duration, zero=True, maximum=MAX_TTL)

# If two variables have the same field, the first set variable wins.
VARIABLES: tuple[Variable, ...] = (
    Variable("CACHE_DRIVER", "driver", "choice", "auto", partial(_choice, choices=DRIVERS),
             f"{DRIVERS}; auto is redis with a URL, else memory; embedded starts a server on this host; "
             "null stores nothing",
             "an app without settings runs, and one variable makes its cache shared"),
    Variable("CACHE_REDIS_URL", "url", "url", None, _url,
             "the server, in the form of REDIS_URL",
             "wins over REDIS_URL, which is often the job queue's"),
    Variable("REDIS_URL", "url", "url", None, _url,
             "the server: redis:// rediss:// unix:// (valkey:// and valkeys:// are the first two)",
             "the variable that hosting platforms set by themselves"),
    Variable("CACHE_PREFIX", "prefix", "text", "fleetcache", _prefix,
             "first part of every key on the server",
             "two services that both keep it share their entries, so the cache logs a warning"),
    Variable("CACHE_TTL", "ttl", "duration", "5m", _lifetime,
             "how long an entry is fresh; at most 30d",
             "long enough to take the load off, short enough to heal a forgotten invalidation"),
    Variable("CACHE_STALE", "stale", "duration", "0", _lifetime_or_none,
             "how long after that an entry may still answer while it is loaded again",
             "nothing loads in the background unless asked to: the request's session may be closed by then"),
    Variable("CACHE_TTL_JITTER", "ttl_jitter", "share", "5%", partial(parse_share, maximum=MAX_JITTER),
             "up to this share of its ttl is left out at random where a loader or set_many stores an entry; 0 to 50%",
             "entries that are loaded together end apart, and nobody counts on the last seconds of a cached value"),
    Variable("CACHE_OPERATION_TIMEOUT", "operation_timeout", "duration", "250ms", _operation_timeout,
             "longest wait for one operation on the server; at most 10s",
             "many times the round trip of a healthy server, and users do not notice a single wait of this length"),
    Variable("CACHE_CONNECT_TIMEOUT", "connect_timeout", "duration", "2s", partial(parse_duration, maximum=MAX_CONNECT),
             "longest whole handshake; at most 1m",
             "name look-up, TLS and a dozen commands over a slow network; no request waits for it"),
    Variable("CACHE_MAX_STALENESS", "max_staleness", "duration", "2s",
             partial(parse_duration, minimum=MIN_STALENESS, maximum=MAX_STALENESS),
             "how far a near answer may be behind the server, whatever the network does; 100ms to 1m",
             "costs an idle connection a command in two thirds of a second, and outlasts a lost packet"),
    Variable("CACHE_OFFLINE_TTL", "offline_ttl", "duration", "30s", _lifetime_or_none,
             "how long near may answer without the server; 0 is not at all",
             "takes most of the load off the origin during an outage"),
    Variable("CACHE_LOAD_WAIT", "load_wait", "duration", "30s", _lifetime,
             "longest wait for another caller's load",
             "about when the proxies in front give up on the request"),
    Variable("CACHE_LOAD_LIMIT", "load_limit", "duration", None, _load_limit,
             "how long a load may take before it ends with LoadTimeout for all callers; no bound when it is not set",
             "a report may rightly take an hour, so only the app knows the bound"),
    Variable("CACHE_MAX_LOADS", "max_loads", "count", None, _max_loads,
             "how many loaders run at once in a process; 0 is any number; 64 for Cache and 0 for SyncCache when it is "
             "not set",
             "a cold start with many keys should not overrun the origin; the threads of a process are few already"),
    Variable("CACHE_NEAR_MAX_ITEMS", "near_max_items", "count", 10_000, parse_count,
             "entries in the near store, per process",
             "a few MB of overhead at most, and the hot part of most key sets"),
    Variable("CACHE_NEAR_MAX_BYTES", "near_max_bytes", "size", "32MB", parse_size,
             "bytes in the near store, per process; 0 turns near off",
             "several processes with this limit fit into a small container"),
    Variable("CACHE_MAX_VALUE_BYTES", "max_value_bytes", "size", "4MB",
             partial(parse_size, minimum=1, maximum=MAX_VALUE),
             "larger values are answered uncached; at most 512MB",
             "at 1 Gbit/s one such value already delays all callers on the connection by some 30ms"),
    Variable("CACHE_REQUIRED", "required", "boolean", False, _boolean,
             "without the server health is unhealthy and ready is 503",
             "the cache should never be the reason that an app is down"),
    Variable("CACHE_STRICT", "strict", "boolean", False, _boolean,
             "programming errors raise where they would otherwise be logged",
             "in production the user gets an answer and the developers a log line"),
    Variable("CACHE_TRUST_RESTART", "trust_restart", "boolean", False, _boolean,
             "keep the entries after the server restarted or failed over",
             "an old snapshot brings removed entries back"),
    Variable("CACHE_CODEC", "codec", "choice", "msgpack", partial(_choice, choices=CODECS),
             f"{CODECS}; pickle needs CACHE_SIGNING_KEY",
             "small, fast, and reading it executes no code"),
    Variable("CACHE_SIGNING_KEY", "signing_keys", "keys", (), _signing_keys,
             "entries are signed with the first key and verified with all: new,old rotates; 32 bytes or more each",
             "programs that can write to the server are usually trusted; for pickle that is not enough"),
    Variable("CACHE_EMBEDDED_DIR", "embedded_dir", "text", None, _embedded_dir,
             "where the embedded server makes its private folder, made with mode 0700 if it does not exist; "
             "XDG_RUNTIME_DIR, TMPDIR or /tmp when it is not set",
             "sockets of one user belong there, and all processes of the user find them there"),
    Variable("CACHE_EMBEDDED_MAX_BYTES", "embedded_max_bytes", "size", "128MB",
             partial(parse_size, minimum=MIN_EMBEDDED),
             "memory of the embedded server for entries; when full, it drops the least recently used entries. Its "
             "table of tracked keys may take as much again",
             "several times near's, and a quarter of a small container; it is used only as the cache fills"),
)  # fmt: skip
