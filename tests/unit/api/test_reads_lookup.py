"""``lookup``: an entry with its times, which follow from the remaining life of the entry, on any driver."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fleetcache import Cache, Found, KeyRuleError
from fleetcache.testing import ManualClock, memory_cache
from tests.promises.faults import as_user
from tests.support.drivers import Driver, On
from tests.support.run import run
from tests.support.scene import GRACE, Scene
from tests.support.servers import Server
from tests.support.waiting import eventually


def test_it_shows_what_is_there_with_its_times(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert await cache.lookup("k") is None
        await cache.set("k", [1, 2], ttl="1m")
        await cache.namespace("n").set("k", "named", ttl="1h")
        for _ in range(2):  # from the server, if any, and then from near
            found = await cache.lookup("k")
            assert found is not None
            assert (found.value, found.stale) == ([1, 2], False)
            assert 55 < found.fresh_for <= 60
            assert 0 <= found.age < 5
            assert found.fresh_for + found.age == pytest.approx(60, abs=0.01)
        named = await cache.namespace("n").lookup("k", type=str)
        assert named is not None
        assert (named.value, named.stale) == ("named", False)
        assert 3595 < named.fresh_for <= 3600
        await cache.delete("k")
        assert await cache.lookup("k") is None

    on(body)


def test_what_it_shows_is_the_callers_own(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", [1])
        for _ in range(2):
            found = await cache.lookup("k", type=list[int])
            assert found is not None
            assert found.value == [1]
            found.value.append(2)
        assert await cache.lookup("k", type=int) is None  # the value is not of that type

    on(body)


def test_a_lookup_counts_as_neither_a_hit_nor_a_miss(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 1)
        before = cache.stats()
        for key in ("k", "k", "nothing"):
            await cache.lookup(key)
        after = cache.stats()
        counted = [(s.near_hits, s.shared_hits, s.stale_hits, s.misses, s.loads) for s in (before, after)]
        assert counted[0] == counted[1]

    on(body)


def test_in_a_bypassed_context_there_is_nothing(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 1)
        with cache.bypass():
            assert await cache.lookup("k") is None
        assert await cache.lookup("k") is not None

    on(body)


def test_another_instance_is_told_the_same_age(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as one, remote.cache() as other:
            await one.set("k", "v", ttl="10s", stale="10s")
            await asyncio.sleep(1)
            ages: list[float] = []
            for cache in (one, other, other):  # its own near, the server, the other instance's near
                found = await cache.lookup("k", type=str)
                assert found is not None
                ages.append(found.age)
            assert 1 <= min(ages) <= max(ages) < 5
            assert max(ages) - min(ages) < 0.9  # the reads came one after the other

    run(main())


def test_near_and_the_server_tell_the_same_of_a_stale_entry(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.age(GRACE + 20_000, stale="30s")
        for _ in range(2):
            found = await scene.cache.lookup("k", type=str)
            assert found is not None
            assert (found.value, found.stale) == ("old", True)
            assert -15 < found.fresh_for <= -10  # of 30 stale seconds, 20 are left
            assert 70 <= found.age < 75  # a ttl of 60, and 10 beyond it
        assert scene.origin.calls == 0
        assert await scene.cache.get("k") is None

    play(body)


def test_what_is_spent_is_not_there(play: Callable[..., None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.age(GRACE - 1_000)
        assert await scene.cache.lookup("k") is None

    play(body)


def test_a_copy_that_near_may_keep_for_a_second_is_as_old_as_its_entry(server: Server, prefix: str) -> None:
    with server.client() as client:
        client("ACL", "SETUSER", "app", "on", ">pass", "~*", "&*", "+@all", "-client|tracking")

    async def main() -> None:
        url = as_user(server.url, "app:pass")
        settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s"}
        async with Cache(url, **settings) as one, Cache(url, **settings) as other:
            await one.set("k", "v", ttl="1h")
            for cache in (one, other, other):
                found = await cache.lookup("k", type=str)
                assert found is not None
                assert 0 <= found.age < 5
                assert not found.stale

    run(main())


def test_offline_near_tells_what_it_loaded_and_when(fresh_server: Any, prefix: str) -> None:
    async def load() -> str:
        return "v"

    async def main() -> None:
        server = fresh_server()
        async with Cache(server.url, prefix=prefix, operation_timeout=0.2, offline_ttl="20s") as cache:
            server.kill()
            await eventually(partial(is_offline, cache))
            assert await cache.get_or_set("k", load, ttl="1h") == "v"
            found = await cache.lookup("k", type=str)
            assert found is not None
            assert (found.value, found.stale) == ("v", False)
            assert 15 < found.fresh_for <= 20  # shortened, because no removal could reach it
            assert 0 <= found.age < 5

    run(main())


def is_offline(cache: Cache) -> bool:
    return cache.status_now().status == "degraded"


def test_a_wrong_key_is_told(on: On) -> None:
    async def body(cache: Cache) -> None:
        with pytest.raises(KeyRuleError):
            await cache.lookup("")

    on(body)


def test_its_times_go_with_the_clock_of_the_cache() -> None:
    async def main() -> None:
        clock = ManualClock()
        cache = memory_cache(clock=clock)
        await cache.set("k", "v", ttl="1m", stale="1m")
        seen: list[Found[str] | None] = []
        for step in ("0s", "25s", "35s", "1m"):
            clock.advance(step)
            seen.append(await cache.lookup("k", type=str))
        assert seen == [
            Found("v", 60, 0, stale=False),
            Found("v", 35, 25, stale=False),
            Found("v", 0, 60, stale=True),
            None,
        ]
        await cache.close()

    run(main())
