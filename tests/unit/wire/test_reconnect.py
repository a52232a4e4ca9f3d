"""A permanent connection: it is made again at its end, asks for credentials each time, and shows no secret."""

import asyncio
from functools import partial
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.testing.server import free_port
from fleetcache.wire.reconnect import IDLE_TIMES
from tests.support.lesser import Lesser
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

UNHURRIED: dict[str, Any] = {"operation_timeout": "5s", "connect_timeout": "10s"}


def has_come_back(cache: Cache, epoch: int) -> bool:
    return cache.stats().epoch > epoch


def test_a_lost_connection_is_followed_by_another(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        with Proxy(one_server) as proxy:
            async with Cache(proxy.url, prefix=prefix, **UNHURRIED) as cache:
                for epoch in (1, 2, 3):
                    assert cache.stats().epoch == epoch
                    proxy.cut()
                    await eventually(partial(has_come_back, cache, epoch))
                assert cache.stats().reconnects == 3

    run(main())


def test_credentials_are_asked_for_at_each_connection(one_server: Server, prefix: str) -> None:
    asked: list[int] = []

    class Provider:
        def get_credentials(self) -> tuple[str, str] | tuple[()]:
            asked.append(1)
            raise LookupError("hunter2")

    async def main() -> None:
        async with Cache(one_server.url, prefix=prefix, credential_provider=Provider(), **UNHURRIED) as cache:
            assert len(asked) == 1
            health = cache.status_now()
            assert (health.reason, health.active) == ("auth", "memory")
            assert "LookupError" in str(health.last_error)
            assert "hunter2" not in str(health.as_dict())

    run(main())


def test_the_first_attempt_ends_either_way(prefix: str) -> None:
    async def main() -> None:
        async with Cache(f"redis://127.0.0.1:{free_port()}", prefix=prefix, **UNHURRIED) as cache:
            assert cache._engine.tried
            assert cache.status_now().reason == "refused"
            assert "ConnectionRefusedError" in str(cache.status_now().last_error)

    run(main())


@pytest.mark.parametrize("times", [IDLE_TIMES - 1, IDLE_TIMES])
def test_only_connections_closed_in_a_row_are_taken_for_an_idle_proxy(
    one_server: Server, prefix: str, times: int
) -> None:
    async def main() -> None:
        async with Cache(one_server.url, prefix=prefix, **UNHURRIED) as cache:
            wire: Any = cache._engine.wire
            reconnector: Any = cache._engine.reconnector
            wire.last_error = "closed"
            for _ in range(times):
                wire.over = "reset"
                wire.link.confirmed = cache._engine.clock() - 1.0
                reconnector._look_for_idling()
            assert ("idle timeout" in wire.last_error) is (times == IDLE_TIMES)
            wire.over = None

    run(main())


def test_each_step_of_the_handshake_has_its_own_deadline(one_server: Server, prefix: str) -> None:
    """A server that answers thousands of handshakes at once answers each of them late, but does answer."""

    async def main() -> None:
        with Proxy(one_server) as proxy:
            proxy.delay(0.6, "down")
            async with Cache(proxy.url, prefix=prefix, connect_timeout="1200ms", operation_timeout="5s") as cache:
                await eventually(lambda: cache.stats().link == "online", timeout=20)
                assert cache.stats().errors == {}

    run(main())


def test_a_server_that_says_not_yet_is_asked_again_less_and_less_often(one_server: Server, prefix: str) -> None:
    """Thousands of instances wait for a server that loads its data: their questions must not keep it from that."""

    async def main() -> None:
        with Lesser(one_server, GET=b"-LOADING the dataset in memory") as proxy:
            async with Cache(proxy.url, prefix=prefix, **UNHURRIED) as cache:
                await asyncio.sleep(2)
                assert cache.status_now().reason == "loading"
                assert proxy.connections == 1
                assert 2 <= proxy.asked.count("SCRIPT") <= 25  # 40 with the first pause each time

    run(main())
