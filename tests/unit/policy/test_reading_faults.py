"""The last rows of the policy's table: the server refuses to store, or cannot be reached."""

import asyncio
from collections.abc import Callable

import pytest

from fleetcache import Cache
from tests.support.drivers import Driver
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.scene import Body, Origin, Scene
from tests.support.waiting import eventually


async def full(scene: Scene) -> None:
    scene.raw("CONFIG", "SET", "maxmemory-policy", "noeviction")
    scene.raw("CONFIG", "SET", "maxmemory", "1")


async def of_another_type(scene: Scene) -> None:
    scene.raw("RPUSH", scene.entry, "a list")


async def forbidden(scene: Scene) -> None:
    scene.raw("ACL", "SETUSER", "default", "-@scripting")


@pytest.mark.parametrize(("state", "reason"), [(full, "oom"), (of_another_type, "wrongtype"), (forbidden, "noperm")])
def test_where_storing_is_refused_one_load_serves_the_process(
    play: Callable[..., None], state: Body, reason: str
) -> None:
    async def body(scene: Scene) -> None:
        await state(scene)
        scene.origin.go.clear()
        callers = [asyncio.create_task(scene.ask()) for _ in range(10)]
        await eventually(lambda: scene.cache.stats().joins == 9 and scene.origin.calls)
        scene.origin.go.set()
        assert await asyncio.gather(*callers) == ["loaded 1"] * 10
        assert await scene.ask() == "loaded 1"  # unconfirmed, for a moment
        assert (await scene.cache.explain("k")).unconfirmed
        assert scene.origin.calls == 1
        assert scene.cache.stats().errors[reason]
        assert not await scene.cache.get_many(["other"])  # reads go on
        assert scene.cache.stats().link == "online"
        scene.raw("CONFIG", "SET", "maxmemory", "0")
        scene.raw("ACL", "SETUSER", "default", "+@all")

    play(body)


# -- unreachable -------------------------------------------------------------------------------------------------------


def test_out_of_reach_near_answers_and_one_load_serves_the_process(remote: Driver) -> None:
    assert remote.server is not None
    origin = Origin()

    async def load_many(keys: list[str]) -> dict[str, str]:
        return {key: await origin.load() for key in keys}

    async def main(proxy: Proxy) -> None:
        async with remote.cache() as other, Cache(proxy.url, prefix=remote.prefix, operation_timeout="5s") as cache:
            await cache.set_many({"k": "near", "gone": "near", "new": "old"})
            proxy.refuse()
            proxy.cut()
            await eventually(lambda: cache.stats().link == "offline")
            assert await cache.get("k", type=str) == await cache.get_or_set("k", origin.load) == "near"
            assert await cache.get_or_set("k", origin.load, offline_ttl=0) == "loaded 1"
            callers = [cache.get_or_set("unknown", origin.load) for _ in range(10)]
            assert await asyncio.gather(*callers) == ["loaded 2"] * 10
            assert await cache.get("unknown") == "loaded 2"
            assert await cache.get_or_set("unknown", origin.load, offline_ttl=0) == "loaded 3"
            assert await cache.get_or_set_many(["unknown"], load_many, offline_ttl=0) == {"unknown": "loaded 4"}
            assert not await cache.delete("gone")
            await cache.set("new", "here")
            assert await cache.get_many(["gone", "new"]) == {"new": "here"}
            assert cache.stats().journal == 2
            assert await other.get_many(["gone", "new"]) == {"gone": "near", "new": "old"}
            proxy.accept()
            await eventually(lambda: cache.stats().link == "online" and not cache.stats().journal)

            async def others_see_it() -> bool:
                return await other.get_many(["gone", "new", "unknown"]) == {}

            await eventually(others_see_it)
            assert await cache.get_many(["gone", "new", "unknown", "k"]) == {"k": "near"}

    with Proxy(remote.server) as proxy:
        run(main(proxy))
