"""Reads of many keys: one request for each key, and the near cache only where the caller wants it."""

from typing import cast

from fleetcache import Cache
from tests.support.client import Client
from tests.support.drivers import Driver, On, commands_of
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

MANY = [f"key:{number}" for number in range(100)]


def test_without_near_every_acknowledged_write_is_seen_at_once(remote: Driver) -> None:
    async def main() -> None:
        async with remote.cache() as cache, remote.cache() as other:
            for number in range(100):
                await other.set("k", [number])
                assert await cache.get_many(["k", "absent"], near=False) == {"k": [number]}
            assert (cache.stats().near_hits, cache.stats().shared_hits) == (0, 100)
            for _ in range(3):  # its twin
                assert await cache.get_many(["k"]) == {"k": [99]}
            assert (cache.stats().near_hits > 0) is remote.has_near

    run(main())


def test_without_near_memory_answers_where_the_server_does_not(remote: Driver) -> None:
    assert remote.server is not None
    with Proxy(remote.server) as proxy:
        through = Driver(remote.variant, cast("Server", proxy), remote.prefix)

        async def main() -> None:
            async with through.cache(operation_timeout="500ms") as cache:
                await cache.set("k", [1])
                with proxy.frozen():
                    assert await cache.get_many(["k"], near=False) == {"k": [1]}  # waited for, in vain
                    assert cache.stats().timeouts == 1
                with proxy.away():
                    await eventually(lambda: cache.stats().link == "offline")
                    assert await cache.get_many(["k", "absent"], near=False) == {"k": [1]}
                    await cache.delete("k")
                    assert await cache.get_many(["k"], near=False) == {}

        run(main())


def test_without_near_a_cache_in_memory_is_as_ever(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", [1])
        assert await cache.get_many(["k", "absent"], near=False) == {"k": [1]}

    on(body)


def test_a_batch_asks_for_each_key_once(remote: Driver) -> None:
    assert remote.server is not None

    async def main(client: Client) -> dict[str, int]:
        async with remote.cache() as cache, remote.cache() as other:
            await other.set_many(dict.fromkeys(MANY, 1))
            await cache.set("warm", 1)
            before = commands_of(client)
            assert len(await cache.get_many([*MANY, *MANY])) == 100
            assert len(await cache.get_many(MANY)) == 100  # from near
            after = commands_of(client)
            return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}

    with remote.server.client() as client:
        assert run(main(client)) == {"get": 100, "pttl": 100}
