"""Settings: every variable and rule of the table, where values come from, and no way for a secret to be seen."""

import inspect
import pickle
import re
import traceback
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from rich.pretty import pretty_repr

from fleetcache import Cache, SyncCache
from fleetcache.config import settings as module
from fleetcache.config.settings import VARIABLES, Settings
from fleetcache.config.url import Address
from fleetcache.errors import ConfigError
from tests.support.ids import same_everywhere

SECRET = "hunter2"  # noqa: S105 - stands for a password wherever one could be set
KEY = b"k" * 32

DEFAULTS = {
    "driver": "auto",
    "url": None,
    "prefix": "fleetcache",
    "ttl": 300.0,
    "stale": 0.0,
    "operation_timeout": 0.25,
    "connect_timeout": 2.0,
    "max_staleness": 2.0,
    "offline_ttl": 30.0,
    "load_wait": 30.0,
    "near_max_items": 10_000,
    "near_max_bytes": 32_000_000,
    "max_value_bytes": 4_000_000,
    "required": False,
    "strict": False,
    "trust_restart": False,
    "codec": "msgpack",
    "signing_keys": (),
    "embedded_dir": None,
    "embedded_max_bytes": 128_000_000,
    "credential_provider": None,
    "url_variable": "REDIS_URL",
}


def fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def test_without_variables_the_defaults_and_memory() -> None:
    settings = Settings.from_env({})
    assert fields(settings) == DEFAULTS
    assert [type(value) for value in fields(settings).values()] == [type(value) for value in DEFAULTS.values()]
    assert settings == Settings()
    assert (settings.resolved_driver, settings.address, settings.default_prefix) == ("memory", None, True)


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_empty_is_unset_for_every_variable(empty: str) -> None:
    assert Settings.from_env({variable.env: empty for variable in VARIABLES}) == Settings()


def test_other_names_are_ignored() -> None:
    assert Settings.from_env({"CACHE_TTLS": "junk", "CACHE_URL": "junk", "cache_ttl": "junk"}) == Settings()


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
    assert fields(Settings.from_env({env: value})) == {**DEFAULTS, field: expected}


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


URL = "redis://cache.example"

WRONG: list[tuple[dict[str, str], str]] = [
    (
        {"CACHE_DRIVER": "memcached"},
        r"CACHE_DRIVER \(driver\) = 'memcached' is unknown; accepted: auto, redis, memory, embedded, null",
    ),
    (
        {"CACHE_DRIVER": "redis"},
        r"CACHE_DRIVER \(driver\) = 'redis' needs a URL; accepted: REDIS_URL or CACHE_REDIS_URL",
    ),
    ({"REDIS_URL": "localhost"}, r"REDIS_URL \(url\) = 'localhost' does not begin with a scheme.*; accepted: redis://"),
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
    ({"CACHE_OPERATION_TIMEOUT": "5m"}, r"CACHE_OPERATION_TIMEOUT \(operation_timeout\) = '5m' is over 10s.*CACHE_TTL"),
    ({"CACHE_OPERATION_TIMEOUT": "0"}, r"CACHE_OPERATION_TIMEOUT \(operation_timeout\) = '0' must be more than zero"),
    ({"CACHE_CONNECT_TIMEOUT": "61s"}, r"CACHE_CONNECT_TIMEOUT \(connect_timeout\) = '61s' is over 1m"),
    ({"CACHE_MAX_STALENESS": "50ms"}, r"CACHE_MAX_STALENESS \(max_staleness\) = '50ms' is under 100ms"),
    ({"CACHE_MAX_STALENESS": "2m"}, r"CACHE_MAX_STALENESS \(max_staleness\) = '2m' is over 1m"),
    ({"CACHE_OFFLINE_TTL": "x"}, r"CACHE_OFFLINE_TTL \(offline_ttl\) = 'x' is not a duration"),
    ({"CACHE_LOAD_WAIT": "0"}, r"CACHE_LOAD_WAIT \(load_wait\) = '0' must be more than zero"),
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
    ({"CACHE_EMBEDDED_DIR": "run"}, r"CACHE_EMBEDDED_DIR \(embedded_dir\) = 'run' is no place .* an absolute path"),
    ({"CACHE_EMBEDDED_DIR": "/a\0b"}, r"CACHE_EMBEDDED_DIR \(embedded_dir\) = '/a\\x00b' is no place"),
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
    for name in DEFAULTS
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


def test_an_argument_nobody_knows_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="time_to_live"):
        Settings.from_env({}, time_to_live=5)


@pytest.mark.parametrize(
    ("environ", "driver", "address"),
    [
        ({}, "memory", None),
        ({"REDIS_URL": "redis://a"}, "redis", Address(host="a")),
        ({"CACHE_DRIVER": "redis", "REDIS_URL": "redis://a"}, "redis", Address(host="a")),
        ({"REDIS_URL": "redis://a", "CACHE_REDIS_URL": "redis://b"}, "redis", Address(host="b")),
        ({"REDIS_URL": "junk", "CACHE_REDIS_URL": "redis://b"}, "redis", Address(host="b")),
        ({"CACHE_DRIVER": "memory", "REDIS_URL": "redis://a"}, "memory", None),
        ({"CACHE_DRIVER": "memory", "REDIS_URL": "a queue's own form"}, "memory", None),
        ({"CACHE_DRIVER": "null", "REDIS_URL": "redis://a"}, "null", None),
        ({"CACHE_DRIVER": "embedded", "REDIS_URL": "redis://a"}, "embedded", None),
        ({"CACHE_DRIVER": "embedded", "CACHE_REQUIRED": "yes"}, "embedded", None),
        ({"CACHE_REQUIRED": "yes", "REDIS_URL": "redis://a"}, "redis", Address(host="a")),
    ],
)
def test_the_driver_is_resolved(environ: dict[str, str], driver: str, address: Address | None) -> None:
    settings = Settings.from_env(environ)
    assert (settings.resolved_driver, settings.address) == (driver, address)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_TTL", "7s")
    assert Settings.from_env().ttl == 7.0


def test_overrides_win_and_what_they_replace_is_not_read() -> None:
    environ = {"CACHE_TTL": "junk", "CACHE_REDIS_URL": "redis://a", "CACHE_STALE": "1h"}
    settings = Settings.from_env(environ, ttl="1m", url="redis://b")
    assert (settings.ttl, settings.stale, settings.url) == (60.0, 3600.0, "redis://b")
    assert settings.url_variable == "REDIS_URL"


def test_it_knows_which_variable_the_url_came_from() -> None:
    assert Settings.from_env({"CACHE_REDIS_URL": URL}).url_variable == "CACHE_REDIS_URL"
    assert Settings.from_env({"CACHE_REDIS_URL": URL}) == Settings(url=URL, url_variable="CACHE_REDIS_URL")


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("redis://h", "redis"),
        ("unix:///s", "redis"),
        ("memory://", "memory"),
        ("null://", "null"),
        ("embedded://", "embedded"),
        (" MEMORY:// ", "memory"),
    ],
)
def test_from_url(url: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_TTL", "7s")
    settings = Settings.from_url(url, stale="1m")
    assert (settings.driver, settings.stale, settings.ttl) == (driver, 60.0, 300.0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", r"CACHE_DRIVER \(driver\) = 'redis' needs a URL"),
        ("memory", r"REDIS_URL \(url\) = 'memory' does not begin with a scheme"),
        ("memory://x", r"REDIS_URL \(url\) = 'memory://x' does not begin with a scheme"),
        ("embedded://x", r"REDIS_URL \(url\) = 'embedded://x' does not begin with a scheme"),
        (5, r"REDIS_URL \(url\) = 5 is not a URL"),
        (None, r"CACHE_DRIVER \(driver\) = 'redis' needs a URL"),
    ],
)
def test_from_url_refuses(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings.from_url(url)


def test_a_prefix_of_ones_own() -> None:
    assert Settings(prefix="shop").default_prefix is False


class Provider:
    def get_credentials(self) -> tuple[str]:
        return (SECRET,)

    def __repr__(self) -> str:
        return f"Provider({SECRET})"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"REDIS_URL": "redis://localhost"}, []),
        (
            {"REDIS_URL": "redis://:pw@h?socket_timeout=5&health_check_interval=30&protocol=3"},
            ["REDIS_URL has options of other clients, .*: health_check_interval, protocol, socket_timeout"],
        ),
        ({"CACHE_REDIS_URL": "redis://h?poolSize=5"}, ["CACHE_REDIS_URL has options of other clients, .*: poolSize"]),
        ({"REDIS_URL": "redis://h?pool_size=5", "CACHE_DRIVER": "memory"}, []),
        (
            {"CACHE_NEAR_MAX_BYTES": "32"},
            [r"CACHE_NEAR_MAX_BYTES \(near_max_bytes\) is 32 bytes, .* a number is bytes, 32MB would be the default"],
        ),
        ({"CACHE_MAX_VALUE_BYTES": "4"}, ["CACHE_MAX_VALUE_BYTES .* is 4 bytes, .* 4MB would be the default"]),
        ({"CACHE_NEAR_MAX_BYTES": "0"}, []),
        ({"CACHE_NEAR_MAX_BYTES": "32", "CACHE_DRIVER": "null"}, []),
        ({"CACHE_NEAR_MAX_BYTES": "16kB", "CACHE_MAX_VALUE_BYTES": "1kB"}, []),
    ],
)
def test_what_was_hardly_meant_is_said(environ: dict[str, str], said: list[str]) -> None:
    doubts = Settings.from_env(environ).doubts
    assert len(doubts) == len(said)
    assert [words for words, doubt in zip(said, doubts, strict=True) if not re.fullmatch(words, doubt)] == []


@pytest.mark.parametrize("face", [Cache, SyncCache])
def test_a_cache_warns_of_it_once(face: type[Cache | SyncCache], caplog: pytest.LogCaptureFixture) -> None:
    environ = {"CACHE_PREFIX": "shop", "REDIS_URL": "redis://:hunter2@localhost?client_name=hunter3&retry=hunter4"}
    face.from_env(environ).namespace("users")
    said = [(record.levelname, record.message) for record in caplog.records]
    assert said == [("WARNING", "REDIS_URL has options of other clients, which mean nothing here: client_name, retry")]


@pytest.mark.parametrize(
    ("environ", "warned"),
    [
        ({"CACHE_URL": "redis://localhost"}, True),
        ({"CACHE_URL": "valkeys://localhost"}, True),
        ({"CACHE_URL": ""}, False),
        ({"CACHE_URL": "locmem://"}, False),
        ({"CACHE_URL": "redis://localhost", "CACHE_DRIVER": "memory"}, False),
        ({"CACHE_URL": "redis://localhost", "REDIS_URL": "redis://localhost"}, False),
        ({"CACHE_URL": "redis://localhost", "CACHE_REDIS_URL": "redis://localhost"}, False),
    ],
)
def test_a_url_in_a_variable_that_nobody_reads(
    environ: dict[str, str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    Settings.from_env(environ)
    assert (
        "CACHE_URL is set, but is not a setting of fleetcache: did you mean CACHE_REDIS_URL?" in caplog.text
    ) is warned


def test_no_secret_is_printed() -> None:
    settings = Settings(
        url=f"redis://u:{SECRET}@h", signing_keys=(SECRET.encode() * 5,), credential_provider=Provider()
    )
    for shown in (repr(settings), str(settings), f"{settings}", repr(settings.address), pretty_repr(settings)):
        assert SECRET not in shown
    assert SECRET in str(settings.url)


LEAKS: list[dict[str, Any]] = [
    {"url": f"redis://u:{SECRET}@h:port"},
    {"url": f"redis://u:{SECRET}/x@h"},
    {"url": f"redis://u:{SECRET}%FF@h"},
    {"url": f"redis://u:{SECRET}@[::1"},
    {"url": f"redis://:{SECRET}"},
    {"url": f"redis://u:{SECRET}@h?passwort={SECRET}"},
    {"url": f"redis://u:{SECRET}@h".encode()},
    {"url": f"redis://u:{SECRET}@h", "ttl": "junk"},
    {"url": f"redis://u:{SECRET}@h", "driver": "memory", "required": True},
    {"signing_keys": SECRET},
    {"signing_keys": f"{'k' * 32},{SECRET}"},
    {"signing_keys": f"{SECRET}\ud800"},
    {"signing_keys": (KEY, SECRET)},
    {"signing_keys": (SECRET, 5)},
    {"signing_keys": {SECRET: 1}},
    {"signing_keys": (SECRET.encode() * 5,), "ttl": "junk"},
    {"credential_provider": SECRET},
    *({variable.field: f"redis://u:{SECRET}@h:port"} for variable in VARIABLES),
    *({variable.field: f"u:{SECRET}@h"} for variable in VARIABLES),
]


@pytest.mark.parametrize("options", LEAKS, ids=str)
def test_no_secret_in_an_error_or_what_it_came_from(options: dict[str, Any]) -> None:
    try:
        Settings(**options)
    except ConfigError as error:
        assert SECRET not in repr(error)  # noqa: PT017 - the whole error is looked at, and its absence fails below
        assert SECRET not in traceback.format_exc()
        assert error.__context__ is None  # noqa: PT017 - as above
    else:
        assert "prefix" in options, "nothing else takes such text"


@given(st.fixed_dictionaries({}, optional={variable.env: st.text() for variable in VARIABLES}))
def test_any_environment_is_read_or_refused(environ: dict[str, str]) -> None:
    try:
        Settings.from_env(environ)
    except ConfigError as error:
        assert error.__context__ is None  # noqa: PT017 - reading it is right too


@given(st.sampled_from(VARIABLES), st.text() | st.text("0123456789kMGiBdhms,:/@"))
def test_any_text_in_one_variable_is_read_or_refused_by_name(variable: Any, value: str) -> None:
    try:
        Settings.from_env({variable.env: value})
    except ConfigError as error:
        assert str(error).startswith(variable.env)  # noqa: PT017 - reading it is right too


def test_settings_are_frozen_and_can_be_varied() -> None:
    settings = Settings(ttl="1h")
    with pytest.raises(AttributeError):
        settings.ttl = 5  # type: ignore[misc]  # that it cannot be done is what is tested
    assert structs.replace(settings, stale=5.0) == Settings(ttl=3600, stale="5s")
    with pytest.raises(TypeError):
        Settings("redis")  # type: ignore[call-arg]  # keyword-only, as is tested here
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own bytes, for worker processes


def test_the_table_is_whole() -> None:
    names = list(Settings.__struct_fields__)
    assert {variable.field for variable in VARIABLES} == set(names) - {"credential_provider", "url_variable"}
    assert len({variable.env for variable in VARIABLES}) == len(VARIABLES)
    for variable in VARIABLES:
        assert variable.meaning, variable.env
        assert variable.reason, variable.env
        assert variable.parse(variable.default, name=variable.label) == DEFAULTS[variable.field]


def test_the_signature_for_type_checkers_names_every_field() -> None:
    source = inspect.getsource(module).partition("class Settings(")[2]
    declared = source[source.index("def __init__(") : source.index(") -> None: ...")]
    annotated = [line.strip().partition(":")[0] for line in declared.splitlines() if line.endswith("= ...,")]
    assert annotated == list(Settings.__struct_fields__)
