"""Users of a ``SyncCache``: health routes, and tests of apps that use one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.ops import OpsApp
from fleetcache.testing import ManualClock, override
from tests.ops.probing import client
from tests.support.servers import Server
from tests.support.waiting import wait_until

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


def test_what_the_app_put_around_refreshes_is_around_those_of_its_tests_too() -> None:
    clock = ManualClock()
    entered: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        entered.append("yes")
        yield

    ours = SyncCache("redis://cache.invalid", prefix="around")
    with override(ours, clock=clock):
        ours.around_refresh(around)
        assert ours.get_or_set("k", lambda: "old", ttl="1m", stale="1h") == "old"
        clock.advance("2m")
        assert ours.get_or_set("k", lambda: "new", ttl="1m", stale="1h") == "old"
        wait_until(lambda: ours.peek("k") == "new")
    assert entered == ["yes"]


def test_a_cache_of_the_other_kind_does_not_stand_in() -> None:
    with pytest.raises(TypeError, match="a SyncCache for a SyncCache"):
        override(cache, Cache("memory://"))
