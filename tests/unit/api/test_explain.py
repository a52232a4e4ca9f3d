"""``cache.explain``: the state of one key in both tiers."""

import asyncio

from fleetcache import Cache
from tests.support.drivers import Driver, On
from tests.support.run import run
from tests.support.waiting import eventually


def test_explain_says_what_both_tiers_hold(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache() as cache:
            nothing = await cache.explain("k")
            assert (nothing.near, nothing.pending_removal, nothing.loading) == ("none", False, False)
            await cache.namespace("n").set("k", 1, ttl="1m", tags=["t"])
            seen = await cache.namespace("n").explain("k")
            assert seen.key == "n:k"
            assert seen.server_key == f"{driver.prefix}:e:n:k"
            assert seen.near == ("fresh" if driver.has_near else "none")
            assert "t" in seen.tags
            if driver.server is not None:
                assert (nothing.shared, seen.shared, seen.unconfirmed) == ("none", "fresh", False)
                assert seen.shared_fresh_for is not None
                assert 55 < seen.shared_fresh_for <= 60
            assert seen.as_dict()["key"] == "n:k"

    run(main())


def test_explain_shows_a_load_under_way(on: On) -> None:
    go = asyncio.Event()

    async def slow() -> int:
        await go.wait()
        return 1

    async def body(cache: Cache) -> None:
        task = asyncio.create_task(cache.get_or_set("k", slow))
        await eventually(lambda: cache.stats().loads)
        assert (await cache.explain("k")).loading
        go.set()
        await task

    on(body)
