"""One cache per process, although Django makes a backend object per thread, per request and per event loop."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import cache, caches
from django.core.signals import request_finished
from django.test import override_settings

from fleetcache import ConfigError, SyncCache
from fleetcache.contrib.django import NotCounted, cache_of
from fleetcache.contrib.django import process as made
from tests.frameworks.django_site import BACKEND, caches_at
from tests.support.drivers import commands_of
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import wait_until


@pytest.fixture
def server(shared_servers: Callable[[str, str], Server], prefix: str) -> Iterator[Server]:
    """A clean Valkey, and the site's default cache on it."""
    server = shared_servers("valkey", "tcp")
    # No heartbeat comes in between, on a busy machine too.
    with override_settings(CACHES=caches_at(server.url, prefix, OPTIONS={"max_staleness": "1m"})):
        yield server


@pytest.mark.usefixtures("server")
def test_every_thread_context_and_loop_has_an_object_of_the_same_cache() -> None:
    def mine() -> tuple[int, SyncCache]:
        return id(caches["default"]), cache_of()

    async def on_a_loop() -> tuple[int, SyncCache]:
        return mine()

    with ThreadPoolExecutor(1) as pool:
        found = [mine(), pool.submit(mine).result(), contextvars.Context().run(mine)]
    found += [contextvars.Context().run(asyncio.run, on_a_loop()), async_to_sync(on_a_loop)()]
    assert len({backend for backend, _ in found}) > 2
    assert {id(one) for _, one in found} == {id(cache_of())}


@pytest.mark.usefixtures("server")
def test_threads_that_come_at_once_get_the_same_cache() -> None:
    start = threading.Barrier(8)

    def mine() -> int:
        start.wait()
        return id(cache_of())

    with ThreadPoolExecutor(8) as pool:
        assert len({one.result() for one in [pool.submit(mine) for _ in range(8)]}) == 1


def test_near_is_shared_by_get_and_aget_of_whatever_loop(server: Server) -> None:
    cache.set("k", [1])
    with server.client() as client:
        before = commands_of(client).get("get", 0)
        assert cache.get("k") == [1]
        assert asyncio.run(cache.aget("k")) == [1]
        assert async_to_sync(cache.aget)("k") == [1]
        async_to_sync(cache.aset)("by-a-task", [2])
        assert cache.get("by-a-task") == [2]
        assert commands_of(client).get("get", 0) == before


def test_aliases_that_say_the_same_share_a_cache_and_others_do_not(server: Server, prefix: str) -> None:
    one = caches_at(server.url, prefix)["default"]
    said = {
        "default": one,
        "same": one | {"KEY_PREFIX": "a", "TIMEOUT": 1, "VERSION": 3},
        "other": one | {"OPTIONS": {"prefix": "b"}},
    }
    with override_settings(CACHES=said):
        found = {alias: cache_of(alias) for alias in said}
        assert found["same"] is found["default"] is not found["other"]


@pytest.mark.usefixtures("server")
def test_the_end_of_a_request_closes_nothing() -> None:
    cache.set("k", [1])
    before = cache_of()
    request_finished.send(sender=None)
    run(caches["default"].aclose())
    assert cache_of() is before
    assert not before.closed
    assert before.peek(cache.make_key("k")) == [1]


@pytest.mark.usefixtures("server")
def test_what_a_test_overrides_is_closed_after_it_and_nothing_else() -> None:
    outer = cache_of()
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "memory://"}}):
        kept, inner = caches["default"], cache_of()
        assert inner is not outer
    assert inner.closed
    assert not outer.closed
    assert cache_of() is outer
    kept.set("k", 1)  # an old backend object has a working cache
    assert kept.get("k") == 1


@pytest.mark.usefixtures("server")
def test_it_works_on_a_thread_that_runs_a_loop() -> None:
    async def view() -> Any:
        cache.set("k", [1])
        return cache.get("k"), cache.get_or_set("made", lambda: "here"), await cache.aget("made")

    assert run(view()) == ([1], "here", "here")


@pytest.mark.usefixtures("server")
def test_a_sync_call_never_waits_for_a_load_of_its_own_loop() -> None:
    async def views() -> None:
        began, go = asyncio.Event(), asyncio.Event()

        async def load() -> str:
            began.set()
            await go.wait()
            return "by the task"

        task = asyncio.create_task(cache.aget_or_set("k", load))
        await began.wait()
        assert cache.get_or_set("k", lambda: "at once") == "at once"  # else the task waits for the load_wait of 30 s
        go.set()
        assert await task == "by the task"

    run(asyncio.wait_for(views(), 10))


@pytest.mark.usefixtures("server")
def test_one_load_for_sync_and_async_views() -> None:
    go = threading.Event()
    loads: list[str] = []

    def slow() -> str:
        loads.append("loaded")
        assert go.wait(5)
        return "once"

    async def view() -> Any:
        return await cache.aget_or_set("k", slow)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_set, "k", slow)
        wait_until(lambda: loads)
        second = pool.submit(asyncio.run, view())
        wait_until(lambda: cache_of().stats().joins == 1)
        go.set()
        assert [first.result(5), second.result(5)] == ["once", "once"]
    assert loads == ["loaded"]


@pytest.mark.usefixtures("server")
def test_a_loader_of_a_task_may_use_what_is_sync() -> None:
    @sync_to_async
    def from_the_database() -> str:
        return f"{cache.get_or_set('inner', lambda: 'row')} of the database"

    def sync_view() -> Any:
        return async_to_sync(cache.aget_or_set)("outer", from_the_database)

    assert run(sync_to_async(sync_view)()) == "row of the database"


def test_without_its_server_nothing_is_raised_but_by_counters(prefix: str) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    with override_settings(CACHES=caches_at(nowhere, prefix, OPTIONS={"operation_timeout": "100ms"})):
        assert cache.get("k", "default") == "default"
        cache.set("k", 1)
        assert cache.get_or_set("made", lambda: 2) == 2
        assert [cache.add("added", 1), cache.add("added", 2), cache.get("added")] == [True, False, 1]
        assert [cache.incr("added"), run(cache.aincr("added", 4)), cache.touch("added", 60)] == [2, 6, True]
        assert cache.delete("k") is False
        with pytest.raises(ValueError, match="cannot be reached") as told:
            cache.incr("n")
        assert isinstance(told.value, NotCounted)
        with pytest.raises(NotCounted):
            run(cache.aincr("n"))


@pytest.mark.usefixtures("server")
def test_nothing_connects_and_no_thread_starts_before_the_first_use() -> None:
    before = threading.active_count()
    assert cache_of().stats().link != "online"
    assert threading.active_count() <= before  # a thread of an earlier test may end now


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"OPTIONS": {"timeout": 3}}, "OPTIONS: 'timeout' is unknown; accepted: driver, prefix, ttl"),
        ({"OPTIONS": {"url": "redis://h"}}, "OPTIONS: 'url' is unknown"),
        ({"OPTIONS": {"near_max_items": "many"}}, r"CACHE_NEAR_MAX_ITEMS \(near_max_items\) = 'many'"),
        ({"LOCATION": ["redis://a", "redis://b"]}, "LOCATION is a list; accepted: one URL"),
        ({"LOCATION": "unique-snowflake"}, "accepted"),
    ],
)
def test_a_wrong_setting_is_told_at_the_first_use(said: dict[str, Any], told: str) -> None:
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "memory://", **said}}):
        backend = caches["default"]
        with pytest.raises(ConfigError, match=told):
            backend.get("k")


def test_without_a_location_the_environment_says_it(
    shared_servers: Callable[[str, str], Server], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", shared_servers("valkey", "tcp").url)
    monkeypatch.setenv("CACHE_PREFIX", prefix)
    monkeypatch.setenv("CACHE_TTL", "7s")
    with override_settings(CACHES={"default": {"BACKEND": BACKEND}}):
        settings = cache_of().settings
        assert (settings.resolved_driver, settings.prefix, settings.codec) == ("redis", prefix, "pickle")
        assert cache.default_timeout == 7
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "TIMEOUT": 9, "OPTIONS": {"codec": "json"}}}):
        assert cache_of().settings.codec == "json"
        assert cache_of().settings.signing_keys == ()
        assert cache.default_timeout == 9
    monkeypatch.setenv("CACHE_CODEC", "msgpack")
    with override_settings(CACHES={"default": {"BACKEND": BACKEND}}):
        assert cache_of().settings.codec == "msgpack"


def test_with_a_location_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DRIVER", "null")
    monkeypatch.setenv("CACHE_REQUIRED", "true")
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "memory://"}}):
        assert cache_of().settings.resolved_driver == "memory"
        assert not made.shared("memory://", {}).settings.required


@pytest.mark.parametrize("store", ["set", "add", "get_or_set", "aset", "aadd", "aget_or_set"])
def test_a_ttl_of_the_options_is_the_default_from_the_first_call_on(store: str) -> None:
    options = {"ttl": "7s"}
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "memory://", "OPTIONS": options}}):
        method: Callable[..., Any] = getattr(cache, store)
        (async_to_sync(method) if store.startswith("a") and store != "add" else method)("k", 1)
        left = cache_of().explain(cache.make_key("k")).near_fresh_for
        assert left is not None
        assert 5 < left <= 7


@pytest.mark.usefixtures("fresh_caches")
def test_without_a_location_a_test_may_have_memory_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with override_settings(CACHES={"default": {"BACKEND": BACKEND}}):
        cache.set("k", [1])
        assert run(cache.aget("k")) == [1]
        assert cache_of().health().active == "memory"
        assert cache_of().health().reason != "unreachable"
