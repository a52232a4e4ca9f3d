"""Loads without a waiting caller: behind stale answers, and never without a call."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fleetcache import MISSING, Cache
from fleetcache.shared.scripts import SCRIPTS
from tests.support.drivers import On
from tests.support.origins import Origin
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
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


def test_what_another_instance_has_refreshed_is_not_loaded_again(server: Server, prefix: str) -> None:
    """The hit on the old value came first, then the push of the new one: the refresh is no longer needed."""

    async def main(proxy: Proxy) -> None:
        settings = {"prefix": prefix, "operation_timeout": "5s", "max_staleness": "20s"}
        async with Cache(proxy.url, **settings) as cache, Cache(server.url, **settings) as other:  # type: ignore[arg-type]
            origin = Origin()
            old = await cache.get_or_set("k", origin.load, ttl="20ms", stale="1m")

            async def stale() -> bool:
                return cache.peek("k", MISSING) is MISSING

            await eventually(stale)
            proxy.stall("down")
            await other.set("k", "new", ttl="1m", strict=True)
            assert await cache.get_or_set("k", origin.load, ttl="20ms", stale="1m") == old
            assert cache.stats().refreshes == 1
            proxy.release()
            await eventually(lambda: cache.stats().flights == 0)
            assert origin.calls == 1
            assert await cache.get("k") == "new"

    with Proxy(server) as proxy:
        run(main(proxy))


def test_the_claim_of_a_refresh_is_given_back_behind_its_store(server: Server, prefix: str) -> None:
    """A large value is long on its way: a caller that waits for the claim would find the old one, claim it and load."""

    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            await cache.set("k", "old")
            with server.client() as monitor:
                assert monitor("MONITOR") == b"OK"
                assert await cache.refresh("k", Origin().load) == "value 1"
                await cache.delete("the end")
                said = ""
                while "the end" not in said:
                    said += str(monitor.frame(timeout=5))
        swap, release = (said.index(SCRIPTS[name].sha) for name in ("swap", "release"))
        assert swap < release

    run(main())


REMOVALS: dict[str, Callable[[Cache], Awaitable[object]]] = {
    "delete": lambda cache: cache.delete("k"),
    "tag": lambda cache: cache.invalidate_tags("tag"),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_offline_nobody_joins_a_refresh_that_began_before_a_removal(prefix: str, removal: str) -> None:
    async def main() -> None:
        source, go, calls = "old", asyncio.Event(), 0

        async def load() -> str:
            nonlocal calls
            calls += 1
            seen = source
            if calls == 2:  # the background refresh
                await go.wait()
            return seen

        async def ask() -> str:
            return await cache.get_or_set("k", load, ttl="20ms", stale="1m", tags=("tag",))

        async with Cache("redis://127.0.0.1:1", prefix=prefix) as cache:  # no server listens there
            await eventually(lambda: cache.stats().link == "offline")
            assert await ask() == "old"
            await asyncio.sleep(0.03)
            assert await ask() == "old"
            await eventually(lambda: calls == 2)
            source = "new"
            await REMOVALS[removal](cache)
            asking = asyncio.create_task(ask())
            await asyncio.wait([asking], timeout=0.1)  # a joined caller waits for the refresh
            go.set()
            assert await asking == "new"
            await eventually(lambda: cache.stats().flights == 0)
            assert await ask() == "new"

    run(main())
