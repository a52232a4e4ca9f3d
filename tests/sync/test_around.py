"""What stands around a ``SyncCache``: health routes, and tests of apps that use one."""

import asyncio

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.ops import OpsApp
from fleetcache.testing import ManualClock, override
from tests.ops.probing import client
from tests.support.servers import Server

cache = SyncCache("redis://cache.invalid", prefix="around")


@cache.cached(key="double:{n}", ttl="1m")
def double(n: int) -> int:
    return 2 * n


def test_the_health_routes_serve_it(server: Server, prefix: str) -> None:
    async def main() -> None:
        with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as ours:
            async with client(OpsApp(ours)) as http:
                report = await http.get("/healthz")
                assert (report.status_code, report.json()["status"]) == (200, "healthy")
                assert (await http.get("/readyz")).status_code == 200
                assert "fleetcache" in (await http.get("/metrics")).text

    asyncio.run(main())


def test_a_test_puts_a_cache_in_memory_in_its_place() -> None:
    clock = ManualClock()
    with override(cache, clock=clock) as memory:
        assert [double(2), memory.stats().near_items, cache.stats().near_items] == [4, 1, 1]
        assert double.peek(2) == 4
        clock.advance("61s")
        assert double.peek(2) is None
        cache.set("k", "value")
        assert memory.get("k") == "value"
        assert cache.health().active == "memory"
    assert cache.peek("k") is None
    assert not cache.closed


def test_a_cache_of_the_other_kind_does_not_stand_in() -> None:
    with pytest.raises(TypeError, match="a SyncCache for a SyncCache"):
        override(cache, Cache("memory://"))
