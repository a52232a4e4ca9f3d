"""Loads that nobody waits for: behind stale answers, and never unasked."""

import asyncio

from fleetcache import MISSING, Cache
from tests.core.drivers import On
from tests.core.origins import Origin
from tests.support.waiting import eventually


def test_stale_is_answered_at_once_and_refreshed_behind_by_one(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        assert await cache.get_or_set("k", origin.load, ttl="20ms", stale="1m") == "value 1"

        async def absent() -> bool:
            return await cache.get("k", MISSING) is MISSING

        await eventually(absent)
        origin.go.clear()
        answers = await asyncio.gather(*(cache.get_or_set("k", origin.load, ttl="1m", stale="1m") for _ in range(10)))
        assert answers == ["value 1"] * 10
        await eventually(lambda: origin.calls == 2)
        origin.go.set()

        async def renewed() -> bool:
            return await cache.get("k", type=str) == "value 2"

        await eventually(renewed)
        assert origin.calls == 2

    on(body)


def test_a_failed_refresh_leaves_the_stale_value_and_pauses(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        await cache.get_or_set("k", origin.load, ttl="10ms", stale="1m")
        origin.error = LookupError("down")

        async def failed() -> bool:
            assert await cache.get_or_set("k", origin.load, ttl="10ms", stale="1m") == "value 1"
            return cache.stats().load_failures > 0

        await eventually(failed)
        for _ in range(10):
            assert await cache.get_or_set("k", origin.load, ttl="10ms", stale="1m") == "value 1"
        assert origin.calls == 2

    on(body)


def test_without_stale_nothing_loads_in_the_background(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        await cache.get_or_set("k", origin.load)
        for _ in range(20):
            await cache.get_or_set("k", origin.load)
        assert cache.stats().refreshes == 0

    on(body)
