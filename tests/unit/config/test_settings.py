"""Settings: every variable and rule of the table, where values come from, and no way for a secret to be seen."""

import inspect
import pickle
import re
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from rich.pretty import pretty_repr

from fleetcache import Cache, SyncCache
from fleetcache.config import settings as module
from fleetcache.config.environment import VARIABLES
from fleetcache.config.settings import Settings
from fleetcache.config.url import Address
from fleetcache.errors import ConfigError

SECRET = "hunter2"  # noqa: S105 - stands for a password wherever one could be set
KEY = b"k" * 32
URL = "redis://cache.example"

DEFAULTS = {
    "driver": "auto",
    "url": None,
    "prefix": "fleetcache",
    "ttl": 300.0,
    "stale": 0.0,
    "ttl_jitter": 0.05,
    "operation_timeout": 0.25,
    "connect_timeout": 2.0,
    "max_staleness": 2.0,
    "offline_ttl": 30.0,
    "load_wait": 30.0,
    "load_limit": None,
    "max_loads": None,
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
        ("memory", r"REDIS_URL \(url\) = 'memory' does not begin with a known scheme"),
        ("memory://x", r"REDIS_URL \(url\) = 'memory://x' does not begin with a known scheme"),
        ("embedded://x", r"REDIS_URL \(url\) = 'embedded://x' does not begin with a known scheme"),
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
    assert said == [
        (
            "WARNING",
            "doubtful setting: REDIS_URL has options of other clients, which have no effect here: client_name, retry",
        )
    ]


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
        "CACHE_URL is set, but is not a setting of fleetcache; did you mean CACHE_REDIS_URL?" in caplog.text
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
        settings.ttl = 5  # type: ignore[misc]  # the error under test
    assert structs.replace(settings, stale=5.0) == Settings(ttl=3600, stale="5s")
    with pytest.raises(TypeError):
        Settings("redis")  # type: ignore[call-arg]  # keyword-only, as tested here
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
