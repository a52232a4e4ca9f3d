"""The warnings that an operator sees of a server that goes and comes back, in both faces."""

import asyncio
import logging
import re
import time
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.wire.link_state import Link
from tests.conftest import StartServer
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Return the cache's records that default logging shows: warnings and worse."""
    return [
        (vars(record)["event"], vars(record)["reason"], vars(record)["driver"], record.getMessage())
        for record in caplog.records
        if record.name == "fleetcache" and record.levelno >= logging.WARNING
    ]


def check(seen: list[tuple[Any, ...]], first: str) -> None:
    assert [line[:3] for line in seen] == [("offline", seen[0][1], "redis"), ("online", seen[0][1], "redis")]
    assert first in seen[0][3]
    assert re.match(r"online: \S+ \(after [0-9.]+ s\); ", seen[1][3])


def test_a_server_that_is_not_there_at_first_cannot_be_reached(
    fresh_server: StartServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server()
    server.kill()

    async def scene() -> None:
        async with Cache(server.url, prefix=prefix) as cache:
            assert await cache.get("k") is None
            await asyncio.to_thread(server.restart)
            await eventually(lambda: cache.stats().link == "online")

    run(scene())
    check(lines(caplog), f"{server.address.port}/0 cannot be reached (refused: Connection refused); this instance")


def test_the_same_on_threads(fresh_server: StartServer, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    server = fresh_server()
    server.kill()
    with SyncCache(server.url, prefix=prefix) as cache:
        assert cache.get("k") is None
        server.restart()
        wait_until(lambda: cache.stats().link == "online")
    check(lines(caplog), f"{server.address.port}/0 cannot be reached (refused: Connection refused); this instance")


def test_a_server_that_was_there_answers_no_more(
    fresh_server: StartServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server()

    async def scene() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="1s") as cache:
            await cache.set("k", 1)
            await asyncio.to_thread(server.kill)
            await eventually(lambda: cache.stats().link == "offline")
            await asyncio.to_thread(server.restart)
            await eventually(lambda: cache.stats().link == "online")

    run(scene())
    check(lines(caplog), "no longer answers (")


def test_who_refuses_us_cannot_be_used_and_no_secret_is_told(
    fresh_server: StartServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server(password="right")  # noqa: S106 - of this test's own server

    async def scene() -> None:
        async with Cache(server.url.replace("right", "wrong-secret"), prefix=prefix) as cache:
            assert await cache.get("k") is None

    run(scene())
    ((event, reason, _, text),) = lines(caplog)
    assert (event, reason) == ("offline", "auth")
    assert "cannot be used (auth: WRONGPASS" in text
    assert "secret" not in caplog.text


async def _flap(proxy: Proxy, cache: Cache, seconds: float) -> int:
    """Reset each connection as soon as it is online; return the number of connections."""
    before, until = proxy.connections, time.monotonic() + seconds
    while time.monotonic() < until:
        if cache.stats().link == "online":
            proxy.reset()
        await asyncio.sleep(0.002)
    return proxy.connections - before


def test_a_server_that_drops_each_connection_is_neither_stormed_nor_told_each_time(
    server: Server, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(proxy: Proxy) -> tuple[int, int]:
        async with Cache(proxy.url, prefix=prefix, operation_timeout="1s") as cache:
            await cache.get("k")
            await _flap(proxy, cache, 2)  # the backoff has grown by then
            connections = await _flap(proxy, cache, 3)
            return connections, cache.stats().reconnects

    with Proxy(server) as proxy:
        connections, reconnects = run(scene(proxy))
    assert reconnects >= 5
    assert connections <= 15, "half a second between two on average"
    assert [line[0] for line in lines(caplog)] == ["offline", "online"]


def test_twin_a_backoff_that_begins_anew_each_time_storms(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(proxy: Proxy) -> int:
        async with Cache(proxy.url, prefix=prefix, operation_timeout="1s") as cache:
            await cache.get("k")
            return await _flap(proxy, cache, 3)

    monkeypatch.setattr(Link, "HELD", 0.0)
    with Proxy(server) as proxy:
        assert run(scene(proxy)) > 15
