"""The table of settings: each variable is read or refused by its own rule, from the environment and as an argument."""

from datetime import timedelta
from typing import Any

import pytest

from fleetcache.config.environment import VARIABLES
from fleetcache.config.settings import Settings
from fleetcache.errors import ConfigError
from tests.support.ids import same_everywhere

KEY = b"k" * 32
URL = "redis://cache.example"


def fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


READ: list[tuple[str, str, str, object]] = [
    ("CACHE_DRIVER", "memory", "driver", "memory"),
    ("CACHE_DRIVER", " NULL ", "driver", "null"),
    ("CACHE_DRIVER", "embedded", "driver", "embedded"),
    ("CACHE_PREFIX", "shop:eu", "prefix", "shop:eu"),
    ("CACHE_PREFIX", "ü" * 32, "prefix", "ü" * 32),
    ("CACHE_TTL", "1h30m", "ttl", 5400.0),
    ("CACHE_TTL", "30d", "ttl", 2_592_000.0),
    ("CACHE_STALE", "1h", "stale", 3600.0),
    ("CACHE_OPERATION_TIMEOUT", "10s", "operation_timeout", 10.0),
    ("CACHE_CONNECT_TIMEOUT", "500ms", "connect_timeout", 0.5),
    ("CACHE_MAX_STALENESS", "100ms", "max_staleness", 0.1),
    ("CACHE_MAX_STALENESS", "1m", "max_staleness", 60.0),
    ("CACHE_OFFLINE_TTL", "0", "offline_ttl", 0.0),
    ("CACHE_LOAD_WAIT", "5", "load_wait", 5.0),
    ("CACHE_LOAD_LIMIT", "90s", "load_limit", 90.0),
    ("CACHE_MAX_LOADS", "8", "max_loads", 8),
    ("CACHE_MAX_LOADS", "0", "max_loads", 0),
    ("CACHE_NEAR_MAX_ITEMS", "1", "near_max_items", 1),
    ("CACHE_NEAR_MAX_BYTES", "0", "near_max_bytes", 0),
    ("CACHE_NEAR_MAX_BYTES", "32MiB", "near_max_bytes", 32 * 2**20),
    ("CACHE_MAX_VALUE_BYTES", "512MB", "max_value_bytes", 512_000_000),
    *(("CACHE_STRICT", word, "strict", True) for word in ("true", "True", "1", "yes", "ON")),
    *(("CACHE_STRICT", word, "strict", False) for word in ("false", "FALSE", "0", "no", "Off")),
    ("CACHE_TRUST_RESTART", "true", "trust_restart", True),
    ("CACHE_CODEC", "JSON", "codec", "json"),
    ("CACHE_SIGNING_KEY", "k" * 32, "signing_keys", (KEY,)),
    ("CACHE_SIGNING_KEY", f"{'n' * 40}, {'k' * 32}\n", "signing_keys", (b"n" * 40, KEY)),
    ("CACHE_EMBEDDED_DIR", "/run/shop\n", "embedded_dir", "/run/shop"),
    ("CACHE_EMBEDDED_DIR", "/" + "ü" * 37, "embedded_dir", "/" + "ü" * 37),
    ("CACHE_EMBEDDED_MAX_BYTES", "1GiB", "embedded_max_bytes", 2**30),
]


@pytest.mark.parametrize(("env", "value", "field", "expected"), READ)
def test_reads_each_variable(env: str, value: str, field: str, expected: object) -> None:
    assert fields(Settings.from_env({env: value})) == {**fields(Settings()), field: expected}


ARGUMENTS: list[tuple[dict[str, Any], str, object]] = [
    ({"ttl": timedelta(hours=1)}, "ttl", 3600.0),
    ({"ttl": 60}, "ttl", 60.0),
    ({"stale": 0}, "stale", 0.0),
    ({"near_max_bytes": 1024}, "near_max_bytes", 1024),
    ({"signing_keys": [KEY, "n" * 32]}, "signing_keys", (KEY, b"n" * 32)),
    ({"signing_keys": KEY}, "signing_keys", (KEY,)),
    ({"url": ""}, "url", None),
]


@pytest.mark.parametrize(("options", "field", "expected"), ARGUMENTS)
def test_arguments_are_converted_by_the_same_table(options: dict[str, Any], field: str, expected: object) -> None:
    settings = Settings(**options)
    assert getattr(settings, field) == expected
    assert type(getattr(settings, field)) is type(expected)


WRONG: list[tuple[dict[str, str], str]] = [
    (
        {"CACHE_DRIVER": "memcached"},
        r"CACHE_DRIVER \(driver\) = 'memcached' is unknown; accepted: auto, redis, memory, embedded, null",
    ),
    (
        {"CACHE_DRIVER": "redis"},
        r"CACHE_DRIVER \(driver\) = 'redis' needs a URL; accepted: REDIS_URL or CACHE_REDIS_URL",
    ),
    (
        {"REDIS_URL": "localhost"},
        r"REDIS_URL \(url\) = 'localhost' does not begin with a known scheme.*; accepted: redis://",
    ),
    ({"CACHE_REDIS_URL": "localhost"}, r"CACHE_REDIS_URL \(url\) = 'localhost' does not begin"),
    ({"CACHE_DRIVER": "redis", "REDIS_URL": "redis://h:x"}, r"REDIS_URL \(url\) = 'redis://h:\*\*\*' is malformed"),
    ({"CACHE_PREFIX": "a{b}"}, r"CACHE_PREFIX \(prefix\) = 'a{b}' would break keys; accepted: 1 to 64 bytes"),
    ({"CACHE_PREFIX": "a b"}, r"CACHE_PREFIX \(prefix\) = 'a b' would break keys"),
    ({"CACHE_PREFIX": "a\tb"}, r"CACHE_PREFIX \(prefix\) = 'a\\tb' would break keys"),
    ({"CACHE_PREFIX": ":a"}, r"CACHE_PREFIX \(prefix\) = ':a' would break keys"),
    ({"CACHE_PREFIX": "a:"}, r"CACHE_PREFIX \(prefix\) = 'a:' would break keys"),
    ({"CACHE_PREFIX": "\udc80"}, r"CACHE_PREFIX \(prefix\) = '\\udc80' would break keys"),
    ({"CACHE_PREFIX": "redis://h"}, r"CACHE_PREFIX \(prefix\) = text that looks like a URL .* is a URL; accepted"),
    ({"CACHE_PREFIX": "ü" * 33}, r"CACHE_PREFIX \(prefix\) = 'ü+' is too long"),
    ({"CACHE_TTL": "0"}, r"CACHE_TTL \(ttl\) = '0' must be more than zero; accepted: seconds"),
    ({"CACHE_TTL": "31d"}, r"CACHE_TTL \(ttl\) = '31d' is over 30d"),
    ({"CACHE_STALE": "-1"}, r"CACHE_STALE \(stale\) = '-1' is not a duration"),
    ({"CACHE_STALE": "31d"}, r"CACHE_STALE \(stale\) = '31d' is over 30d"),
    ({"CACHE_TTL_JITTER": "60%"}, r"CACHE_TTL_JITTER \(ttl_jitter\) = '60%' is not from 0 to 50%.*such as \"5%\""),
    ({"CACHE_TTL_JITTER": "30s"}, r"CACHE_TTL_JITTER .* is not a share"),
    ({"CACHE_OPERATION_TIMEOUT": "5m"}, r"CACHE_OPERATION_TIMEOUT \(operation_timeout\) = '5m' is over 10s.*CACHE_TTL"),
    ({"CACHE_OPERATION_TIMEOUT": "0"}, r"CACHE_OPERATION_TIMEOUT \(operation_timeout\) = '0' must be more than zero"),
    ({"CACHE_CONNECT_TIMEOUT": "61s"}, r"CACHE_CONNECT_TIMEOUT \(connect_timeout\) = '61s' is over 1m"),
    ({"CACHE_MAX_STALENESS": "50ms"}, r"CACHE_MAX_STALENESS \(max_staleness\) = '50ms' is under 100ms"),
    ({"CACHE_MAX_STALENESS": "2m"}, r"CACHE_MAX_STALENESS \(max_staleness\) = '2m' is over 1m"),
    ({"CACHE_OFFLINE_TTL": "x"}, r"CACHE_OFFLINE_TTL \(offline_ttl\) = 'x' is not a duration"),
    ({"CACHE_LOAD_WAIT": "0"}, r"CACHE_LOAD_WAIT \(load_wait\) = '0' must be more than zero"),
    ({"CACHE_LOAD_LIMIT": "0"}, r"CACHE_LOAD_LIMIT \(load_limit\) = '0' must be more than zero"),
    ({"CACHE_MAX_LOADS": "-1"}, r"CACHE_MAX_LOADS \(max_loads\) = '-1' is not a count; accepted: a whole number, 0"),
    ({"CACHE_NEAR_MAX_ITEMS": "0"}, r"CACHE_NEAR_MAX_ITEMS \(near_max_items\) = '0' is not a count; accepted: a whole"),
    ({"CACHE_NEAR_MAX_BYTES": "32 mb"}, r"CACHE_NEAR_MAX_BYTES \(near_max_bytes\) = '32 mb' is not a size; accepted: "),
    ({"CACHE_MAX_VALUE_BYTES": "0"}, r"CACHE_MAX_VALUE_BYTES \(max_value_bytes\) = '0' is under 1 bytes"),
    ({"CACHE_MAX_VALUE_BYTES": "1GB"}, r"CACHE_MAX_VALUE_BYTES \(max_value_bytes\) = '1GB' is over 512000000 bytes"),
    (
        {"CACHE_REQUIRED": "true"},
        r"CACHE_REQUIRED \(required\) = True needs a server, and the driver is memory; accepted: ",
    ),
    ({"CACHE_REQUIRED": "1", "CACHE_DRIVER": "null"}, r"CACHE_REQUIRED .* needs a server, and the driver is null"),
    ({"CACHE_REQUIRED": "1", "CACHE_DRIVER": "memory", "REDIS_URL": URL}, r"CACHE_REQUIRED .* the driver is memory"),
    (
        {"CACHE_REQUIRED": "maybe"},
        r"CACHE_REQUIRED \(required\) = 'maybe' is not a boolean; accepted: true, 1, yes, on",
    ),
    ({"CACHE_STRICT": "2"}, r"CACHE_STRICT \(strict\) = '2' is not a boolean"),
    ({"CACHE_TRUST_RESTART": "y"}, r"CACHE_TRUST_RESTART \(trust_restart\) = 'y' is not a boolean"),
    ({"CACHE_CODEC": "yaml"}, r"CACHE_CODEC \(codec\) = 'yaml' is unknown; accepted: msgpack, json, pickle$"),
    ({"CACHE_CODEC": "pickle"}, r"CACHE_CODEC \(codec\) = 'pickle' needs a signing key; accepted: CACHE_SIGNING_KEY"),
    ({"CACHE_SIGNING_KEY": "short"}, r"CACHE_SIGNING_KEY \(signing_keys\): key 1 of 1 has 5 bytes; accepted: 32 bytes"),
    ({"CACHE_SIGNING_KEY": "k" * 32 + ","}, r"CACHE_SIGNING_KEY \(signing_keys\): key 2 of 2 has 0 bytes"),
    ({"CACHE_EMBEDDED_DIR": "run"}, r"CACHE_EMBEDDED_DIR \(embedded_dir\) = 'run' is not a place .* an absolute path"),
    ({"CACHE_EMBEDDED_DIR": "/a\0b"}, r"CACHE_EMBEDDED_DIR \(embedded_dir\) = '/a\\x00b' is not a place"),
    ({"CACHE_EMBEDDED_DIR": "/" + "ü" * 38}, r"CACHE_EMBEDDED_DIR .* is too long; accepted: .* at most 76 bytes"),
    ({"CACHE_EMBEDDED_MAX_BYTES": "1MB"}, r"CACHE_EMBEDDED_MAX_BYTES .* = '1MB' is under 8000000 bytes"),
]


@pytest.mark.parametrize(("environ", "message"), WRONG)
def test_refuses_from_the_environment(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        Settings.from_env(environ)


@pytest.mark.parametrize(("environ", "message"), WRONG)
def test_refuses_the_same_as_arguments(environ: dict[str, str], message: str) -> None:
    names = {variable.env: variable.field for variable in VARIABLES}
    options: dict[str, Any] = {names[env]: value for env, value in environ.items()}
    with pytest.raises(ConfigError, match=f"^{message}" if "CACHE_REDIS_URL" not in environ else r"^REDIS_URL \(url\)"):
        Settings(**options)


def test_every_variable_can_be_wrong() -> None:
    assert {env for environ, _ in WRONG for env in environ} == {variable.env for variable in VARIABLES}


WRONG_TYPES: list[dict[str, Any]] = [
    {name: value}
    for name in Settings.__struct_fields__
    if name != "url_variable"
    for value in (object(), 1.5j, [1])
] + [
    {"driver": None},
    {"ttl": True},
    {"ttl": float("nan")},
    {"ttl": None},
    {"near_max_items": True},
    {"near_max_bytes": -1},
    {"strict": 1},
    {"prefix": ""},
    {"signing_keys": None},
    {"signing_keys": (KEY, 5)},
    {"url": b"redis://h"},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG_TYPES, ids=same_everywhere)
def test_refuses_arguments_of_another_type(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Settings(**options)
