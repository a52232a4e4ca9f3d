"""The rules of writing without a server: the process sees its own writes, and a strict caller gets an error."""

import pytest

from fleetcache import MISSING, Cache, CodecError, Unavailable
from fleetcache.testing.server import free_port
from tests.support.run import run


def away(prefix: str) -> Cache:
    return Cache(f"redis://127.0.0.1:{free_port()}", prefix=prefix, operation_timeout="50ms")


def test_nothing_is_written_before_every_value_could_be_encoded() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:
            with pytest.raises(CodecError):
                await cache.set_many({"good": 1, "bad": object()})
            assert await cache.get("good", MISSING) is MISSING
            assert cache.stats().sets == 0

    run(main())


def test_a_write_while_the_server_is_away_is_seen_here_and_owed(prefix: str) -> None:
    async def main() -> None:
        async with away(prefix) as cache:
            await cache.set("k", "here")
            assert await cache.get("k") == "here"
            assert cache.stats().journal == 1
            await cache.delete("k")
            assert await cache.get("k", MISSING) is MISSING
            assert cache.stats().journal == 1, "one removal is owed, however often the key was written"

    run(main())


def test_a_strict_caller_is_told_that_nothing_was_acknowledged(prefix: str) -> None:
    async def main() -> None:
        async with away(prefix) as cache:
            with pytest.raises(Unavailable):
                await cache.set("k", 1, strict=True)
            with pytest.raises(Unavailable):
                await cache.delete("k", strict=True)
            with pytest.raises(Unavailable):
                await cache.invalidate_tags("tag", strict=True)

    run(main())


def test_while_the_server_is_away_the_first_of_a_process_to_add_wins(prefix: str) -> None:
    async def main() -> None:
        async with away(prefix) as cache:
            assert [await cache.add("k", number) for number in range(3)] == [True, False, False]
            assert await cache.get("k") == 0

    run(main())


def test_a_touch_prolongs_what_stands_here_alone(prefix: str) -> None:
    async def main() -> None:
        async with away(prefix) as cache:
            assert not await cache.touch("k", "1h")
            await cache.set("k", 1, ttl="1m")
            assert await cache.touch("k", "10m")

    run(main())


def test_a_touch_in_an_outage_keeps_to_its_bound(prefix: str) -> None:
    async def main() -> None:
        async with away(prefix) as cache:
            engine = cache._engine
            await cache.set("k", 1, ttl="1s", stale="1h")
            assert await cache.touch("k", "20s")
            held = engine.near.items["k"]
            bound = engine.clock() + engine.settings.offline_ttl
            assert held.fresh_until < bound - 5
            assert held.stale_until <= bound

    run(main())


def test_a_loaded_value_is_counted_on_and_not_touched_while_the_server_is_away(prefix: str) -> None:
    """Another process may have removed it since: a count ends with the outage, a longer life would not."""

    async def load() -> int:
        return 1

    async def main() -> None:
        async with away(prefix) as cache:
            assert await cache.get_or_set("k", load, ttl="1m") == 1
            assert not await cache.touch("k", "10m")
            until = cache._engine.near.items["k"].fresh_until
            assert await cache.incr("k") == 2
            assert cache._engine.near.items["k"].fresh_until == until

    run(main())
