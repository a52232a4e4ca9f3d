"""Servers that drop clients, are not ready or break the protocol: no verb raises, memory stays, the link recovers."""

import asyncio
import ctypes
import gc
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import psutil
import pytest

from fleetcache import Cache
from fleetcache.format.keys import Layout
from fleetcache.wire.session import Session
from tests.conftest import StartServer
from tests.faults.breaking import Break, breaking
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


async def _load() -> str:
    return "loaded"


async def use_every_verb(cache: Cache) -> None:
    """Use each verb; no fault of the server may make it raise."""
    await cache.get("get")
    assert await cache.get_or_set("load", _load) == "loaded"
    assert await cache.refresh("refresh", _load) == "loaded"
    await cache.set("set", "value")
    await cache.add("add", "value")
    await cache.delete("set")
    await cache.get_many(["get", "load"])
    await cache.invalidate_tags("tag")
    await cache.touch("get", 5)


# -- thrown out -----------------------------------------------------------------------------------------------------


def test_a_killed_connection_is_replaced_and_nothing_is_served_from_before(server: Server, prefix: str) -> None:
    run(_be_killed(server, prefix))


async def _be_killed(server: Server, prefix: str) -> None:
    with server.client() as client:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s", offline_ttl=0) as cache:
            await cache.set("k", "old")
            await cache.set("other", "kept")
            for epoch in (2, 3):
                client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                client("DEL", Layout(prefix).entry("k"))  # while no cache listens
                await use_every_verb(cache)
                await eventually(partial(_has_epoch, cache, epoch))
                assert await cache.get("k") is None
                assert await cache.get("other") == "kept"
                await cache.set("k", "old")


def test_a_server_that_takes_no_more_clients(fresh_server: StartServer, prefix: str) -> None:
    run(_meet_a_crowd(fresh_server("tcp", "--maxclients", "10"), prefix))


async def _meet_a_crowd(server: Server, prefix: str) -> None:
    with ExitStack() as crowd:
        for _ in range(10):
            crowd.enter_context(server.client())
        cache = Cache(server.url, prefix=prefix, operation_timeout="1s")
        link: Any = cache._engine.link
        link.BACKOFF_FULL = 1.0
        async with cache:
            await use_every_verb(cache)
            # Between two attempts: while one is under way, the link has another state for a moment.
            await eventually(lambda: _is_left_outside(cache))
            crowd.close()
            await eventually(lambda: cache.stats().link == "online")


def _is_left_outside(cache: Cache) -> bool:
    health = cache.status_now()
    return (health.link, health.reason) == ("offline", "maxclients")


# -- not ready ------------------------------------------------------------------------------------------------------


def test_a_server_that_loads_its_data_is_waited_for(fresh_server: StartServer, prefix: str) -> None:
    run(_meet_a_loading_server(fresh_server(), prefix))


async def _meet_a_loading_server(server: Server, prefix: str) -> None:
    with server.client() as client, server.client() as culprit:
        client("DEBUG", "POPULATE", 20_000)
        client("CONFIG", "SET", "loading-process-events-interval-bytes", 1024)
        client("CONFIG", "SET", "key-load-delay", 500)  # microseconds a key: ten seconds in all
        async with Cache(server.url, prefix=prefix, operation_timeout="1s", max_staleness="1s") as cache:
            await cache.set("k", "value")
            culprit.send(("DEBUG", "RELOAD"))
            await asyncio.to_thread(wait_until, lambda: _is_loading(client))
            async with Cache(server.url, prefix=prefix, operation_timeout="50ms") as newcomer:
                await use_every_verb(cache)
                await use_every_verb(newcomer)
                await eventually(lambda: cache.status_now().reason == newcomer.status_now().reason == "loading")
                client("CONFIG", "SET", "key-load-delay", 0)  # the load has lasted long enough
                assert culprit.frame(timeout=10) == b"OK"
                for each in (cache, newcomer):
                    await eventually(partial(_is_well, each))
                    assert each.stats().epoch == 1, "the connection was kept"
                    assert await each.get("k") == "value"


def _is_well(cache: Cache) -> bool:
    return cache.status_now().reason is None


def _has_epoch(cache: Cache, epoch: int) -> bool:
    return cache.stats().epoch == epoch


def _is_loading(client: Client) -> bool:
    info: Any = client("INFO", "persistence")
    return b"loading:1" in (info if isinstance(info, bytes) else info.encode())


# -- broken protocol --------------------------------------------------------------------------------------------------


def says(*data: bytes) -> Break:
    async def rage(writer: asyncio.StreamWriter) -> None:
        for each in data:
            writer.write(each)
            await writer.drain()

    return rage


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"$1000000000000\r\n")
    while True:
        writer.write(bytes(1_000_000))
        await writer.drain()


BREAKS: dict[str, Break] = {
    "garbage": says(b"!!!what\r\n"),
    "extra replies": says(b"_\r\n:-2\r\n+more\r\n+and more\r\n" * 10),
    "wrong types": says(b"*2\r\n+a\r\n+b\r\n" * 2),
    "half a reply": says(b"$100\r\nabc"),
    "deep nesting": says(b"*1\r\n" * 100_000),
    "pushes that are none": says(b">1\r\n+invalidate\r\n>2\r\n$10\r\ninvalidate\r\n:1\r\n>0\r\n", b"_\r\n:-2\r\n"),
    "endless bulk": endless,
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_server_that_breaks_the_protocol_harms_nobody(server: Server, prefix: str, kind: str) -> None:
    run(_meet_a_breaking_server(server, prefix, BREAKS[kind]))


MUCH = 20_000_000  # bytes


async def _meet_a_breaking_server(server: Server, prefix: str, rage: Break, times: int = 5) -> None:
    async with (
        breaking(server, f"{prefix}:e:".encode(), rage) as url,
        Cache(url, prefix=prefix, operation_timeout="100ms", max_staleness="300ms", max_value_bytes="100KB") as cache,
    ):
        await use_every_verb(cache)
        most = await _memory_over(lambda: use_every_verb(cache), times)
        assert most < MUCH, f"{most} bytes more"


async def _memory_over(work: Callable[[], Any], times: int) -> int:
    """Return by how many bytes the process grew at most during ``times`` calls."""
    process = psutil.Process()
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # memory that earlier tests freed would hide new memory
        libc.malloc_trim(0)
    before = most = process.memory_info().rss
    for _ in range(times):
        await work()
        await asyncio.sleep(0.05)
        most = max(most, process.memory_info().rss)
        if most - before > MUCH:
            break
    return most - before


def test_twin_without_a_limit_an_endless_reply_fills_memory(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Session.__init__
    monkeypatch.setattr(Session, "__init__", lambda self, on_push, _limit: made(self, on_push, 10**12))
    with pytest.raises(AssertionError, match="bytes more"):
        run(_meet_a_breaking_server(server, prefix, endless, times=200))  # a busy machine sends less at a time
