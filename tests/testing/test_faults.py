"""The switches of ``Proxy``: the view of a cache behind it during a fault, and the fault's end."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from fleetcache import Cache, ConfigError
from fleetcache.testing import Proxy, eventually
from tests.conftest import GetServer, StartServer
from tests.support.run import run
from tests.support.servers import Server

Body = Callable[[Cache], Awaitable[None]]


@pytest.fixture
def server(shared_servers: GetServer) -> Server:
    return shared_servers("valkey", "tcp")


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        yield proxy


@pytest.fixture
def with_cache(proxy: Proxy, prefix: str) -> Callable[[Body], None]:
    """Yield a function that runs a body with a cache behind the proxy, online at first."""

    def run_with(body: Body, **settings: Any) -> None:
        async def main() -> None:
            unhurried: dict[str, Any] = {"operation_timeout": "5s", "near_max_bytes": 0}
            async with Cache(proxy.url, prefix=prefix, **unhurried | settings) as cache:
                await eventually(lambda: link(cache) == "online")
                await body(cache)

        run(main())

    return run_with


def link(cache: Cache) -> str:
    return cache.stats().link


def ping(proxy: Proxy) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as sock:
        sock.sendall(b"PING\r\n")
        return sock.recv(100)


async def one() -> int:
    return 1


def test_away_is_refused_and_back_with_its_data(proxy: Proxy, with_cache: Callable[..., None]) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 7)
        with proxy.away():
            with pytest.raises(ConnectionRefusedError):
                ping(proxy)
            await eventually(lambda: link(cache) == "offline")
            assert await cache.get("k") is None
            assert await cache.get_or_set("other", one) == 1
            assert (await cache.health()).reason in ("refused", "reset")
        await eventually(lambda: link(cache) == "online")
        assert await cache.get("k") == 7

    with_cache(body)


def test_frozen_answers_nothing_and_afterwards_everything(proxy: Proxy, with_cache: Callable[..., None]) -> None:
    async def body(cache: Cache) -> None:
        connections = proxy.connections
        with proxy.frozen():
            assert await cache.get_or_set("k", one) == 1
            assert link(cache) in ("suspect", "offline")
            assert proxy.held("up") > 0
        await eventually(lambda: link(cache) == "online")
        assert proxy.connections == connections

    with_cache(body, operation_timeout="50ms")


def test_slow_makes_every_answer_later(proxy: Proxy, with_cache: Callable[..., None]) -> None:
    async def body(cache: Cache) -> None:
        with proxy.slow("100ms"):
            began = time.monotonic()
            await asyncio.gather(cache.get("a"), cache.get("b"))
            assert time.monotonic() - began >= 0.1
        proxy.slow(0.1)
        proxy.heal()
        took = min([await timed(cache) for _ in range(10)])
        assert took < 0.1

    with_cache(body, operation_timeout="5s")


async def timed(cache: Cache) -> float:
    began = time.monotonic()
    await cache.get("a")
    return time.monotonic() - began


def test_what_is_sent_into_a_blackhole_is_gone(
    proxy: Proxy, server: Server, prefix: str, with_cache: Callable[..., None]
) -> None:
    async def body(cache: Cache) -> None:
        connections = proxy.connections
        with proxy.blackhole():
            await cache.set("k", "swallowed")
            await eventually(lambda: proxy.held("up"))
        with server.client() as raw:
            assert raw("EXISTS", f"{prefix}:e:k") == 0
        await eventually(lambda: link(cache) == "online" and proxy.connections > connections)

    with_cache(body, operation_timeout="50ms")


def test_a_cut_is_a_blip(proxy: Proxy, with_cache: Callable[..., None]) -> None:
    async def body(cache: Cache) -> None:
        epoch = cache.stats().epoch
        proxy.cut()
        await eventually(lambda: cache.stats().epoch > epoch)

    with_cache(body)


def test_a_fault_ends_with_its_block_or_when_told_and_only_once(proxy: Proxy) -> None:
    away = proxy.away()
    away.end()
    with proxy.away():
        away.end()  # it is over already, and does not end another one
        with pytest.raises(ConnectionRefusedError):
            ping(proxy)
    assert ping(proxy) == b"+PONG\r\n"
    assert repr(away) == "<Fault away, over>"


def test_healing_ends_all_of_them(proxy: Proxy) -> None:
    proxy.slow("1m")
    proxy.frozen()
    proxy.cut_after(1, "down")
    proxy.away()
    proxy.heal()
    assert ping(proxy) == b"+PONG\r\n"


def test_it_stands_before_a_url_too(server: Server, prefix: str) -> None:
    async def main(url: str) -> None:
        async with Cache(url, prefix=prefix, operation_timeout="5s") as cache:
            await cache.set("k", 1)
            assert link(cache) == "online"

    with Proxy(server.url) as proxy:
        run(main(proxy.url))
        assert proxy.connections == 1
        with pytest.raises(TypeError, match=r"redis://127.0.0.1:\d+/0"):
            _ = proxy.server


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://app:p%40ss@cache.example:7000/3", "redis://app:p%40ss@127.0.0.1:{port}/3"),
        ("redis://cache.example?db=3", "redis://127.0.0.1:{port}/3"),
        (
            "rediss://:pw@cache.example/1?ssl_cert_reqs=none&db=1",
            "rediss://:pw@127.0.0.1:{port}/1?ssl_cert_reqs=none",
        ),
        ("unix://app:pw@/run/valkey.sock?db=2", "redis://app:pw@127.0.0.1:{port}/2"),
    ],
)
def test_its_url_is_the_servers_with_another_place(url: str, shown: str) -> None:
    with Proxy(url) as proxy:
        assert proxy.url == shown.format(port=proxy.port)


def test_wrong_use_says_so(proxy: Proxy) -> None:
    with pytest.raises(ConfigError, match="target"):
        Proxy("http://cache.example")
    with pytest.raises(ConfigError, match="slow = 'much'"):
        proxy.slow("much")


def test_a_server_that_died_is_refused_like_one_that_is_away(fresh_server: StartServer) -> None:
    server = fresh_server()
    with Proxy(server) as proxy:
        proxy.server.kill()
        with pytest.raises(ConnectionError):
            ping(proxy)
        proxy.server.restart()
        assert ping(proxy) == b"+PONG\r\n"
