"""Reading one key, the same on every driver."""

from dataclasses import dataclass

import pytest

from fleetcache import MISSING, Cache
from tests.support.drivers import Driver, On
from tests.support.run import run
from tests.support.waiting import eventually

VALUES = ["text", "", b"\x00\xff", 0, -(2**40), 1.5, True, [1, [2]], {"a": {"b": None}}]


@dataclass
class User:
    name: str
    tags: list[str]


async def absent(cache: Cache, key: str) -> bool:
    return await cache.get(key, MISSING) is MISSING


def test_what_is_not_there_is_the_default(on: On) -> None:
    async def body(cache: Cache) -> None:
        assert await cache.get("k") is None
        assert await cache.get("k", 7) == 7
        assert await cache.get("k", MISSING) is MISSING
        assert await cache.get("k", type=User) is None
        assert cache.peek("k", 7) == 7

    on(body)


def test_a_value_comes_back_as_it_was(on: On) -> None:
    async def body(cache: Cache) -> None:
        for value in VALUES:
            await cache.set("k", value)
            found = await cache.get("k")
            assert found == value
            assert type(found) is type(value)

    on(body)


def test_none_is_a_value_like_any_other(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", None)
        assert await cache.get("k", MISSING) is None
        assert await cache.get("k", 7) is None
        assert await cache.get_many(["k", "absent"]) == {"k": None}
        assert not await cache.add("k", 1)
        assert await cache.get_or_set("k", pytest.fail) is None
        assert await cache.delete("k")

    on(body)


def test_a_declared_type_is_what_comes_back(on: On) -> None:
    async def body(cache: Cache) -> None:
        ann = User("Ann", ["a"])
        await cache.set("k", ann, type=User)
        assert await cache.get("k", type=User) == ann
        assert await cache.get("k") == {"name": "Ann", "tags": ["a"]}
        assert await cache.get("k", "?", type=int) == "?"
        assert await cache.get("k", type=User) == ann  # the wrong type removed nothing

    on(body)


def test_nobody_changes_anybody_elses_value(on: On) -> None:
    async def body(cache: Cache) -> None:
        mine = User("Ann", ["a"])
        await cache.set("k", mine, type=User)
        mine.tags.append("mine")
        first = await cache.get("k", type=User)
        assert first is not None
        first.tags.append("first")
        assert await cache.get("k", type=User) == User("Ann", ["a"])

    on(body)


def test_the_caller_that_loads_gets_what_later_callers_get(on: On) -> None:
    async def load() -> tuple[int, ...]:
        return [1, 2]  # type: ignore[return-value]  # the wrong annotation is under test

    async def body(cache: Cache) -> None:
        assert await cache.get_or_set("k", load) == (1, 2)
        assert await cache.get_or_set("k", load) == (1, 2)

    on(body)


def test_past_its_ttl_an_entry_is_answered_only_to_who_allows_stale(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 1, ttl="20ms", stale="1m")
        await eventually(lambda: absent(cache, "k"))
        assert await cache.get("k", allow_stale=True) == 1
        assert await cache.get_many(["k"]) == {}

    on(body)


def test_past_ttl_and_stale_an_entry_is_answered_to_nobody(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", 1, ttl="10ms", stale="10ms")

        async def spent() -> bool:
            return await cache.get("k", MISSING, allow_stale=True) is MISSING

        await eventually(spent)

    on(body)


def test_the_cache_has_defaults_for_lifetimes(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(ttl="20ms", stale="1m") as cache:
            await cache.set("k", 1)
            await eventually(lambda: absent(cache, "k"))
            assert await cache.get("k", allow_stale=True) == 1

    run(main())


def test_peek_answers_from_near_alone(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache() as cache, driver.cache() as other:
            await other.set("k", "value")
            assert cache.peek("k") is None  # shared may have it, near does not
            await cache.set("k", User("Ann", []), type=User)
            known = cache.peek("k", type=User)
            assert known == (User("Ann", []) if driver.has_near else None)

    run(main())
