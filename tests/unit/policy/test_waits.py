"""Waits for loads: bounded by the caller's load_timeout and by the load wait of the cache."""

import asyncio

import pytest

from fleetcache import Cache, LoadTimeout
from tests.support.drivers import Driver, On
from tests.support.origins import Origin
from tests.support.run import run
from tests.support.waiting import eventually


def test_a_callers_patience_bounds_its_wait_and_not_the_load(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        patient = asyncio.create_task(cache.get_or_set("k", origin.load))
        await eventually(lambda: origin.calls)
        with pytest.raises(LoadTimeout, match="'k'"):
            await cache.get_or_set("k", origin.load, load_timeout="10ms")
        origin.go.set()
        assert await patient == "value 1"
        assert (origin.calls, origin.cancelled) == (1, 0)

    on(body)


def test_the_first_caller_may_be_the_impatient_one(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        with pytest.raises(LoadTimeout):
            async with asyncio.timeout(10):
                await cache.get_or_set("k", origin.load, load_timeout="10ms")
        await eventually(lambda: cache.stats().flights == 0)  # no caller is left
        assert origin.cancelled == origin.calls  # on a busy machine the timeout is over before the loader starts
        origin.go.set()
        assert await cache.get_or_set("k", origin.load) == f"value {origin.calls}"
        assert origin.calls == origin.cancelled + 1

    on(body)


def test_a_wait_for_others_is_capped(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(load_wait="20ms") as cache:
            origin, mine = Origin(waits=True), Origin()
            other = asyncio.create_task(cache.get_or_set("k", origin.load))
            await eventually(lambda: origin.calls)
            async with asyncio.timeout(10):
                assert await cache.get_or_set("k", mine.load) == "value 1"
            assert cache.stats().wait_timeouts == 1
            origin.go.set()
            await other

    run(main())
