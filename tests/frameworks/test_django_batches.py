"""Django's batches and counters at sizes of a busy site: nothing is lost, and failed keys are reported."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.test import override_settings

from fleetcache.contrib.django import cache_of
from tests.frameworks.django_site import caches_at
from tests.support.drivers import commands_of
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import wait_until

MANY = 30_000
AT_ONCE = 128
KEY = "k" * 32


@pytest.fixture
def server(shared_servers: Callable[[str, str], Server]) -> Server:
    return shared_servers("valkey", "tcp")


@pytest.fixture
def _site(server: Server, prefix: str) -> Iterator[None]:
    with override_settings(CACHES=caches_at(server.url, prefix, OPTIONS={"signing_keys": (KEY,)})):
        yield


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize("face", ["sync", "async"])
def test_all_of_a_large_batch_is_there_and_nothing_else_is_lost(face: str, server: Server, prefix: str) -> None:
    values = {f"k:{number}": number for number in range(MANY)}

    async def by_a_task() -> list[str]:
        return await cache.aset_many(values)

    cache.set("bystander", 1)
    assert (run(by_a_task()) if face == "async" else cache.set_many(values)) == []
    with override_settings(CACHES=caches_at(server.url, prefix, OPTIONS={"signing_keys": (KEY,), "near_max_items": 1})):
        assert cache.get_many(["bystander", *values]) == {"bystander": 1, **values}  # from the server


@pytest.mark.parametrize("face", ["sync", "async"])
def test_keys_that_the_server_did_not_acknowledge_are_reported(face: str, server: Server, prefix: str) -> None:
    async def by_a_task() -> list[str]:
        return await cache.aset_many({"a": 1, "b": 2})

    with Proxy(server) as proxy, override_settings(CACHES=caches_at(proxy.url, prefix)):
        cache.set("a", 0)
        with proxy.away():
            wait_until(lambda: cache_of().stats().link == "offline")
            failed = cache.set_many({"a": 1, "b": 2}) if face == "sync" else run(by_a_task())
            assert failed == ["a", "b"]
            assert cache.get_many(["a", "b"]) == {"a": 1, "b": 2}  # this process has them for a while
            assert cache.set_many({}) == []
        wait_until(lambda: cache_of().stats().link == "online")
        assert cache.set_many({"a": 3, "b": 4}) == []


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize("face", ["sync", "async"])
def test_many_counts_at_once_on_one_key_all_count(face: str, server: Server) -> None:
    async def by_tasks() -> list[int]:
        return list(await asyncio.gather(*(cache.aincr("hits") for _ in range(AT_ONCE))))

    cache.set("hits", 0)
    with server.client() as client:
        before = sum(commands_of(client).values())
        if face == "async":
            totals = run(by_tasks())
        else:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                totals = list(pool.map(lambda _: cache.incr("hits"), range(AT_ONCE)))
        sent = sum(commands_of(client).values()) - before
    assert sorted(totals) == list(range(1, AT_ONCE + 1))
    assert cache.get("hits") == AT_ONCE
    assert sent <= 8 * AT_ONCE
