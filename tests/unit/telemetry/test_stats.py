"""``cache.stats``: each call raises its counter, and a snapshot stays as it was taken."""

import pytest

from tests.support.drivers import Driver
from tests.support.run import run


async def load() -> str:
    return "loaded"


def test_stats_count_what_happened(driver: Driver) -> None:
    async def failing() -> int:
        raise LookupError

    async def main() -> None:
        async with driver.cache() as cache:
            await cache.get("absent")
            await cache.get_or_set("k", load)
            await cache.get("k", type=str)
            await cache.get_or_set("k", load)
            with pytest.raises(LookupError):
                await cache.get_or_set("bad", failing)
            await cache.delete("k")
            stats = cache.stats()
            assert (stats.misses, stats.loads, stats.load_failures, stats.removals) == (3, 2, 1, 1)
            assert stats.near_hits + stats.shared_hits == 2
            assert stats.near_hits == (2 if driver.has_near else 0)
            assert stats.flights == stats.waiters == stats.journal == 0
            assert stats.link == ("online" if driver.server is not None else "none")

    run(main())
