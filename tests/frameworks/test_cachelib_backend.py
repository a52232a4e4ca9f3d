"""The cachelib backend keeps cachelib's contract, in memory and on a server; no fault of the server makes it raise."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pickle import PicklingError, dumps
from typing import Any

import pytest
from cachelib.base import BaseCache

from fleetcache import CodecError, ConfigError, SyncCache
from fleetcache.contrib.cachelib import FleetCache
from fleetcache.testing import ManualClock, override
from tests.conftest import StartServer
from tests.support.servers import Server
from tests.support.waiting import wait_until

DAY = 24 * 60 * 60
SECRET = "from the vault"  # noqa: S105 - of these tests alone


@dataclass
class Point:
    """A class that only pickle can keep without a type."""

    x: int


Make = Callable[..., FleetCache]


@pytest.fixture(params=["memory", "server"])
def make(request: pytest.FixtureRequest, prefix: str) -> Iterator[Make]:
    """Yield a maker of backends of one kind."""
    made: list[FleetCache] = []
    url = "memory://" if request.param == "memory" else request.getfixturevalue("shared_servers")("valkey", "tcp").url

    def new(**options: Any) -> FleetCache:
        given = {"prefix": prefix, "secret_key": SECRET, "operation_timeout": "2s"}
        made.append(FleetCache(url, **(given | options)))
        return made[-1]

    yield new
    for backend in made:
        backend.cache.close()


def test_values_come_back_as_they_were(make: Make) -> None:
    backend = make()
    assert isinstance(backend, BaseCache)
    value: Any
    for value in (1, 0, True, False, None, "text", b"bytes", (1, 2), {1: {2}}, [], timedelta(1), Point(3)):
        assert backend.set("k", value) is True
        found = backend.get("k")
        assert (found, type(found)) == (value, type(value))
    assert backend.get("nothing") is None


def test_a_caller_who_changes_what_it_got_changes_nobody_elses(make: Make) -> None:
    backend = make()
    backend.set("k", {"cart": []})
    backend.get("k")["cart"].append("pear")
    assert backend.get("k") == {"cart": []}


def test_a_stored_none_is_there(make: Make) -> None:
    backend = make()
    backend.set("k", None)
    assert [backend.has("k"), backend.has("nothing")] == [True, False]


def test_many_keys(make: Make) -> None:
    backend = make()
    assert backend.set_many({"a": 1, "b": [2]}) == ["a", "b"]
    assert backend.get_many("b", "nothing", "a") == [[2], None, 1]
    assert backend.get_dict("a", "nothing") == {"a": 1, "nothing": None}
    assert backend.delete_many("a", "nothing") == ["a", "nothing"]
    assert backend.get_many("a", "b") == [None, [2]]
    assert backend.get_many() == backend.delete_many() == backend.set_many({}) == []


def test_add_stores_only_what_is_not_there(make: Make) -> None:
    backend = make()
    assert [backend.add("k", "first"), backend.add("k", "second"), backend.get("k")] == [True, False, "first"]


def test_delete_says_whether_there_was_anything(make: Make) -> None:
    backend = make()
    backend.set("k", "value")
    assert [backend.delete("k"), backend.delete("k"), backend.get("k")] == [True, False, None]


def test_counters(make: Make) -> None:
    backend = make()
    assert [backend.inc("n"), backend.inc("n", 5), backend.dec("n", 2), backend.get("n")] == [1, 6, 4, 4]
    backend.set("n", 10)
    assert [backend.dec("n"), backend.dec("new", 3)] == [9, -3]
    backend.set("n", "text")
    with pytest.raises(CodecError, match="not an integer"):
        backend.inc("n")


def test_clear_empties_what_is_under_the_prefix_and_nothing_else(make: Make) -> None:
    sessions, pages = make(key_prefix="sessions:"), make(key_prefix="pages")
    for backend in (sessions, pages):
        backend.set("k", "value")
    assert pages.clear() is True
    assert [sessions.get("k"), pages.get("k")] == ["value", None]
    assert sessions.cache.settings.prefix.endswith(":sessions")


def test_timeouts() -> None:
    clock = ManualClock()
    backend = FleetCache("memory://", default_timeout=60, secret_key=SECRET)
    with override(backend.cache, clock=clock):
        for key, timeout in {"default": None, "short": 1, "delta": timedelta(minutes=2), "ever": 0}.items():
            backend.set(key, key, timeout=timeout)
        backend.set("beyond", "beyond", timeout=31 * DAY)  # the lifetime of Flask's sessions
        backend.add("added", "added", 0)
        seen = []
        for seconds in (2, 60, 60, 30 * DAY - 123, 2):
            clock.advance(seconds)
            keys = ("default", "short", "delta", "ever", "beyond", "added")
            seen.append([key for key in keys if backend.has(key)])
    assert seen == [
        ["default", "delta", "ever", "beyond", "added"],
        ["delta", "ever", "beyond", "added"],
        ["ever", "beyond", "added"],
        ["ever", "beyond", "added"],
        [],
    ]


@pytest.mark.parametrize("timeout", [-1, timedelta(seconds=-5)])
def test_a_negative_timeout_is_over_already(make: Make, timeout: Any) -> None:
    backend = make()
    backend.set("k", "old")
    assert [backend.set("k", "new", timeout), backend.get("k")] == [True, None]
    assert [backend.set_many({"a": 1}, timeout), backend.get("a")] == [["a"], None]
    assert [backend.add("b", 1, timeout), backend.get("b")] == [True, None]


def test_keys_of_strangers_are_no_errors(make: Make) -> None:
    backend = make()
    keys = ["x" * 20_000, "x" * 20_001, "ü" * 900, "a key", "view//%s\n\0"]
    backend.set_many({key: number for number, key in enumerate(keys)})
    assert backend.get_many(*keys) == [0, 1, 2, 3, 4]
    assert backend.get("y" * 20_000) is None


def test_what_cannot_be_pickled_is_told_as_cachelib_does(make: Make) -> None:
    backend = make(max_value_bytes=1000)
    backend.set("k", "old")
    for value in (lambda: 1, "x" * 2000):
        for store in (backend.set, backend.add):
            with pytest.raises(PicklingError, match=r"cannot be|over CACHE_MAX_VALUE_BYTES"):
                store("k2", value)
    assert backend.get("k2") is None


# -- the pickles that are read -----------------------------------------------------------------------------------------


class Fatal:
    """An object that ends the test when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("a forged pickle was read",)


def backend_on(server: Server, prefix: str, *secrets: str) -> FleetCache:
    return FleetCache(server.url, prefix=prefix, secret_key=secrets or SECRET, operation_timeout="2s")


def test_a_pickle_is_read_only_if_it_was_signed_with_the_secret(server: Server, prefix: str) -> None:
    backends = writer, forger, reader = [backend_on(server, prefix, name) for name in ("ours", "forger", "ours")]
    writer.set_many({"changed": "value", "kept": "value"})
    forger.set("foreign", "value")
    where = f"{writer.cache.settings.prefix}:e:changed"
    with server.client() as client:
        blob = client("GET", where)
        client("SET", where, blob.replace(dumps("value", 5), dumps(Fatal(), 5)), "PX", 100_000)
        assert client("GET", where) != blob
    assert reader.get_many("changed", "foreign", "kept") == [None, None, "value"]
    for each in backends:
        each.cache.close()


def test_a_secret_is_rotated_without_losing_what_is_there(server: Server, prefix: str) -> None:
    old, both, new = (backend_on(server, prefix, *secrets) for secrets in (["old"], ["new", "old"], ["new"]))
    old.set("k", "value")
    assert [both.get("k"), new.get("k")] == ["value", None]
    both.set("k", "again")
    assert new.get("k") == "again"
    wait_until(lambda: old.get("k") is None)
    for each in (old, both, new):
        each.cache.close()


# -- construction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, "", b"", [], ["", "old"]])
def test_without_a_secret_there_is_no_backend(secret: Any) -> None:
    with pytest.raises(ConfigError, match=r"secret_key is missing or empty; accepted: .*SECRET_KEY.*CACHE_SIGNING_KEY"):
        FleetCache("memory://", secret_key=secret)


def test_it_is_set_up_by_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://of.the.environment")
    monkeypatch.setenv("CACHE_PREFIX", "shop")
    monkeypatch.setenv("CACHE_SIGNING_KEY", "k" * 32)
    settings = FleetCache().cache.settings
    assert (settings.url, settings.prefix, settings.codec) == ("redis://of.the.environment", "shop:cachelib", "pickle")
    assert settings.signing_keys == (b"k" * 32,)


def test_a_ready_cache_is_used_as_it_is() -> None:
    cache = SyncCache("memory://")
    backend = FleetCache(cache, 60)
    assert backend.set("k", [1])
    assert cache.get("k") == [1]
    with pytest.raises(PicklingError, match="Point"):  # the cache's codec is not pickle
        backend.set("k", Point(1))
    with pytest.raises(ConfigError, match="pass secret_key, ttl where it is made"):
        FleetCache(cache, secret_key=SECRET, ttl="1m")


def test_its_secret_is_not_shown() -> None:
    assert SECRET not in repr(FleetCache("memory://", secret_key=SECRET))


# -- without the server ------------------------------------------------------------------------------------------------


def test_a_server_that_dies_raises_nothing_and_takes_nothing_back(fresh_server: StartServer, prefix: str) -> None:
    server = fresh_server()
    backend = FleetCache(server.url, prefix=prefix, secret_key=SECRET, operation_timeout="1s")
    backend.set_many({"kept": [1], "gone": "old"})
    assert backend.get_many("kept", "gone") == [[1], "old"]
    server.kill()
    wait_until(lambda: backend.cache.stats().link == "offline")
    assert backend.get("kept") == [1]  # from memory
    assert [backend.set("new", 1), backend.set_many({"new2": 2}), backend.add("new3", 3)] == [False, [], True]
    assert [backend.inc("n"), backend.dec("n")] == [None, None]
    assert [backend.inc("new3"), backend.add("new3", 3), backend.get("new3")] == [4, False, 4]
    assert [backend.delete("gone"), backend.delete_many("gone"), backend.has("gone")] == [False, ["gone"], False]
    backend.set("session", {"user": 1})
    assert backend.get("session") == {"user": 1}  # from this process's memory
    assert [backend.clear(), backend.get("session"), backend.get("kept")] == [False, None, None]
    backend.cache.close()


def test_without_cachelib_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['cachelib.base'] = sys.modules['cachelib'] = None; import fleetcache.contrib.cachelib"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.returncode == 1
    assert "pip install fleetcache[cachelib]" in ended.stderr.splitlines()[-1]
