"""Writes ``docs/settings.md`` from the one table of settings: part of ``make docs``.

The words around the table are ``BEFORE`` and ``AFTER``; a test compares the page in the repository with the output.
"""

from pathlib import Path

from fleetcache.config.environment import VARIABLES, Variable

PAGE = Path(__file__).parents[1] / "settings.md"

BEFORE = """\
# Settings: every variable, its default, and why

"Which variable do I set, and is the default right for me?" No setting is required. Each is a variable of the
environment and an argument. This page comes from the table that the code reads, `src/fleetcache/config/environment.py`.

## Three ways

```python
from fleetcache import Cache, Settings

cache = Cache.from_env()  # the environment, as it is now
cache = Cache.from_env(ttl="1h")  # the same, with one setting that wins over it
cache = Cache("redis://localhost", prefix="shop", ttl="1h")  # no environment
settings = Settings(driver="memory", near_max_bytes="8MiB")  # an object to test
cache = Cache(settings=settings)
```

The environment is read once, when the cache is made. An empty variable counts as unset. Names that are not in the
table are ignored.

| kind | how it is written |
|---|---|
| duration | `250ms`, `30s`, `5m`, `1h30m`, `7d`; a number is seconds; in code a `timedelta`, too |
| size | `512kB`, `32MB` (10^6), `32MiB` (2^20); a number is bytes |
| share | `5%` or `0.05` |
| boolean | `true` `1` `yes` `on`, `false` `0` `no` `off`, in any case |
| url | see [URLs](#urls) |
| keys | one or more keys of 32 bytes or more, separated by commas |

## All settings
"""

AFTER = """\
## URLs

| form | meaning |
|---|---|
| `redis://[[user]:password@]host[:port][/db]` | TCP. Without parts it is `localhost`, port 6379, database 0 |
| `rediss://...` | TLS, and the certificate is checked. See below |
| `unix://[[user]:password@]/path[?db=n]` | a unix socket |
| `valkey://...`, `valkeys://...` | the same as `redis://...`, `rediss://...` |

One host: Sentinel and Cluster come with a later release, and several hosts are refused.

Special characters in user, password and path are percent-encoded: `@` is `%40`, `/` is `%2F`, `#` is `%23`, `?` is
`%3F`. A URL that could be read in two ways is refused. Use database 0: the server does not tell databases apart when it
pushes changes, so the same key in another database costs needless reloads.

User, password and database may also be given as options: `?username=`, `?password=`, `?db=`.

`REDIS_URL` is often shared with a job queue. Options for the *queue's* client are ignored, with one warning that names
them: pools, retries, timeouts, health checks, protocol, decoding, client names, address families, as redis-py, kombu,
go-redis, ioredis and others spell them. Any other option is refused. Such an option is a typing error, or it changes
the server's address or the TLS checks in a way that the cache would not follow.

| option of `rediss://` | default | meaning |
|---|---|---|
| `ssl_ca_certs` | the system's | file of the authorities to trust |
| `ssl_certfile`, `ssl_keyfile` | - | the app's own certificate and its key |
| `ssl_cert_reqs` | `required` | `none` checks nothing: an attacker in between can read and change everything |
| `ssl_check_hostname` | `true` | whether the certificate must be for this host |

Passwords that change, as cloud services issue them, come from an object with `get_credentials()` that is asked at every
connection: see [security](security.md#passwords-that-change).

## When it fails

A wrong setting is a `ConfigError` when the cache is made, and names the variable, the value and the accepted values:

```python
from fleetcache import ConfigError

try:
    Cache.from_env({"CACHE_TTL": "5 minutes"})
except ConfigError as error:
    print(error)  # CACHE_TTL (ttl) = '5 minutes' is not a duration; accepted: ...
```

No message, log line, `repr` or health report shows a password. A correct setting with a server that is away is not an
error: the cache starts in memory and connects by itself. A misspelled variable is ignored like any variable of another
program; `fleetcache doctor` finds such near misses. The cache warns in the [log](logging.md#lines) about a setting that
is allowed and probably a mistake: `CACHE_URL` and no other URL, or a size of some bytes (`CACHE_NEAR_MAX_BYTES=32`).
"""


def page() -> str:
    """Return the whole page."""
    rows = ["| variable | argument | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| [`{row.env}`](#{row.env.lower()}) | `{row.field}` | {_default(row)} | {row.meaning} |" for row in VARIABLES
    ]
    return "\n".join([BEFORE, *rows, "", "## Why these defaults", "", *_reasons(), AFTER])


def _reasons() -> list[str]:
    lines: list[str] = []
    for row in VARIABLES:
        default = "not set" if _default(row) == "-" else f"default {_default(row)}"
        lines += [
            f"### {row.env}",
            "",
            f"*{row.kind.capitalize()}, {default}.* {row.reason[0].upper()}{row.reason[1:]}.",
            "",
        ]
    return lines


def _default(row: Variable) -> str:
    if row.default is None or row.default == ():
        return "-"
    shown = str(row.default).lower() if isinstance(row.default, bool) else row.default
    return f"`{shown}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
