"""The engine on an event loop: it moves to the loop that uses it, and raises ``Closed`` after its end."""

import asyncio

import pytest

from fleetcache import Cache, Closed
from fleetcache.config.settings import Settings
from fleetcache.engine.aio.engine import AioEngine
from tests.support.run import run


def test_another_loop_takes_over_from_one_that_has_ended() -> None:
    cache = Cache("memory://")

    async def main() -> None:
        await cache.open()
        assert await cache.get_or_set("k", load) == 1
        assert cache._engine.loop is asyncio.get_running_loop()

    run(main())
    run(main())
    assert cache.stats().loads == 1, "near goes along"
    run(cache.close())


async def load() -> int:
    return 1


def test_after_close_a_call_is_refused_and_a_second_close_is_nothing() -> None:
    made = AioEngine(Settings.from_url("memory://"))

    async def main() -> None:
        await made.ensure_ready()
        await made.close()
        await made.close()
        with pytest.raises(Closed):
            await made.ensure_ready()

    run(main())
