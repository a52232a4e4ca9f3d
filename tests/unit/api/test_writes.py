"""Writing one key, the same on every driver."""

from fleetcache import MISSING, Cache
from tests.support.drivers import On
from tests.support.waiting import eventually


def test_set_replaces_value_and_life(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "old", ttl="1m")
        await cache.set("k", "new", ttl="30ms")
        assert await cache.get("k", "gone") in {"new", "gone"}
        await eventually(lambda: absent(cache, "k"))

    on(body)


async def absent(cache: Cache, key: str) -> bool:
    return await cache.get(key, MISSING) is MISSING


# -- add -------------------------------------------------------------------------------------------------------------


def test_add_stores_only_what_is_not_there(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert await cache.add("k", "first")
        assert not await cache.add("k", "second")
        assert not await cache.add("k", 2)  # also with a value of another type
        assert await cache.get("k") == "first"
        await cache.delete("k")
        assert await cache.add("k", "third", type=str)
        assert await cache.get("k", type=str) == "third"

    on(body)


def test_add_replaces_what_is_no_longer_fresh(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "old", ttl="10ms", stale="1m")
        await eventually(lambda: absent(cache, "k"))
        assert await cache.add("k", "new")
        assert await cache.get("k") == "new"

    on(body)


def test_add_replaces_what_was_invalidated(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "old", tags=["t"])
        await cache.invalidate_tags("t")
        assert await cache.add("k", "new", tags=["t"])
        await cache.clear()
        assert await cache.add("k", "newer")
        assert await cache.get("k") == "newer"

    on(body)


# -- delete, touch ---------------------------------------------------------------------------------------------------


def test_delete_says_whether_something_alive_was_removed(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert not await cache.delete("k")
        await cache.set("k", 1)
        assert await cache.delete("k")
        assert await cache.get("k", MISSING) is MISSING
        assert not await cache.delete("k")
        await cache.set("k", 1, ttl="10ms", stale="1m")
        await eventually(lambda: absent(cache, "k"))
        assert not await cache.delete("k")
        assert await cache.get("k", MISSING, allow_stale=True) is MISSING

    on(body)


def test_delete_many_counts_what_was_alive_each_key_once(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set_many({"a": 1, "b": 2, "c": 3})
        assert await cache.delete_many(["a", "b", "a", "absent"]) == 2
        assert await cache.get_many(["a", "b", "c"]) == {"c": 3}
        assert await cache.delete_many([]) == 0

    on(body)


def test_touch_gives_a_fresh_entry_a_new_life(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert not await cache.touch("k", "1m")
        await cache.set("k", "value", ttl="1m", stale="5m", tags=["t"])
        assert await cache.touch("k", "10ms")
        await eventually(lambda: absent(cache, "k"))
        assert await cache.get("k", allow_stale=True) == "value"
        assert not await cache.touch("k", "1m")  # a stale entry is not fresh
        await cache.set("k", "value", ttl="1m", tags=["t"])
        assert await cache.touch("k", "1h")
        seen = await cache.explain("k")
        left = seen.shared_fresh_for if seen.shared_fresh_for is not None else seen.near_fresh_for
        assert left is not None
        assert left > 3000
        await cache.invalidate_tags("t")
        assert await absent(cache, "k")

    on(body)
