"""Tags, clear and namespaces, the same on every driver."""

from functools import partial

from fleetcache import MISSING, Cache
from fleetcache.api.namespace import Namespace
from tests.support.drivers import On
from tests.support.waiting import eventually


async def gone(view: Namespace) -> bool:
    return await view.get("k", MISSING) is MISSING


def test_a_tag_removes_what_carries_it_and_nothing_else(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("both", 1, tags=["a", "b"])
        await cache.set("a", 2, tags=("a",))
        await cache.set("none", 3)
        await cache.invalidate_tags("b", "unknown")
        assert await cache.get_many(["both", "a", "none"]) == {"a": 2, "none": 3}
        await cache.invalidate_tags("a")
        assert await cache.get_many(["both", "a", "none"]) == {"none": 3}
        await cache.set("a", 4, tags=["a"])
        assert await cache.get("a") == 4

    on(body)


def test_a_tag_reaches_into_every_namespace(on: On) -> None:
    async def body(cache: Cache) -> None:
        users = cache.namespace("users")
        await users.set("k", 1, tags=["t"])
        await cache.invalidate_tags("t")
        assert await users.get("k", MISSING) is MISSING

    on(body)


def test_clear_removes_everything_and_new_entries_stay(on: On) -> None:
    async def body(cache: Cache) -> None:
        users = cache.namespace("users")
        await cache.set("k", 1)
        await users.set("k", 2, tags=["t"])
        await cache.clear()
        assert await cache.get("k", MISSING) is MISSING
        assert await users.get("k", MISSING) is MISSING
        await cache.set("k", 3)
        assert await cache.get("k") == 3

    on(body)


def test_a_colon_in_its_name_nests_a_namespace(on: On) -> None:
    async def body(cache: Cache) -> None:
        short, long = cache.namespace("tenant:7"), cache.namespace("tenant").namespace("7")
        for outer in (cache.namespace("tenant"), short, long):
            await short.set("k", 1)
            assert await long.get("k") == 1
            await cache.namespace("tenant:8").clear()
            assert await long.get("k") == 1
            await outer.clear()
            assert await gone(short)

    on(body)


def test_a_namespace_has_keys_defaults_and_a_clear_of_its_own(on: On) -> None:
    async def body(cache: Cache) -> None:
        users, admins = cache.namespace("users", ttl="20ms", stale="1m"), cache.namespace("users").namespace("admins")
        await cache.set("k", "root")
        await admins.set("k", "admin")
        await users.set("k", "user")
        assert await cache.get("k") == "root"
        await eventually(partial(gone, users))
        assert await users.get("k", allow_stale=True) == "user"
        await admins.clear()
        assert await admins.get("k", MISSING) is MISSING
        await admins.set("k", "admin")
        await users.clear()
        assert await users.get("k", MISSING, allow_stale=True) is MISSING
        assert await admins.get("k", MISSING) is MISSING
        assert await cache.get("k") == "root"

    on(body)
