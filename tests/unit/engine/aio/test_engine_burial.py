"""The dead entries of the near cache on an event loop: alarms bury them while the process is idle, and then end."""

import asyncio
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.near.graveyard import Burial
from tests.support.run import run
from tests.support.servers import Server

MANY = 3_000


async def filled(cache: Cache) -> Any:
    await cache.set_many({f"key:{number}": number for number in range(MANY)}, tags=["mine"])
    near = cache._engine.near
    assert len(near) == MANY
    return near


async def until_buried(near: Any) -> None:
    async with asyncio.timeout(30):
        while near.bury(0):  # noqa: ASYNC110 - a burial sets no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("remove", ["clear", "invalidate_tags"])
def test_an_idle_loop_buries_what_a_removal_ended_and_no_alarm_is_left(remove: str) -> None:
    async def main() -> None:
        async with Cache("memory://", near_max_items=2 * MANY) as cache:
            near = await filled(cache)
            before = cache.stats().near_bytes
            await (cache.clear() if remove == "clear" else cache.invalidate_tags("mine"))
            stats = cache.stats()
            assert stats.near_items == 0
            assert stats.near_bytes > before / 2
            await until_buried(near)
            assert (near.items, cache.stats().near_bytes) == ({}, 0)
            assert cache._engine.burial._alarm is None

    run(main())


def test_a_flush_of_the_server_ends_all_and_alarms_bury_them(one_server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(one_server.url, prefix=prefix, near_max_items=2 * MANY, operation_timeout="5s") as cache:
            near = await filled(cache)
            one_server.flush()
            async with asyncio.timeout(30):
                while cache.stats().near_items:  # noqa: ASYNC110 - the push sets no event
                    await asyncio.sleep(0.005)
            assert cache.peek("key:1") is None
            await until_buried(near)
            assert near.items == {}

    run(main())


def test_a_closed_cache_has_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Burial, "EVERY", 0.02)

    async def main() -> None:
        cache = Cache("memory://", near_max_items=2 * MANY)
        near = await filled(cache)
        await cache.clear()
        await cache.close()
        dead = len(near.items)
        await asyncio.sleep(0.06)
        assert len(near.items) == dead > 0

    run(main())


def test_a_burial_goes_on_on_the_next_event_loop() -> None:
    cache = Cache("memory://", near_max_items=2 * MANY)
    near = run(filled(cache))

    async def clear() -> None:
        await cache.clear()

    async def later() -> None:
        assert await cache.get("absent") is None
        await until_buried(near)
        await cache.close()

    run(clear())
    assert near.items
    run(later())
    assert near.items == {}
