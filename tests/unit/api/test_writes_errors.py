"""The errors of a value that cannot be stored, and of a closed cache; the same on every driver."""

from typing import NamedTuple

import pytest

from fleetcache import MISSING, Cache, Closed, CodecError, Keep, NoStore
from tests.support.drivers import Driver, On
from tests.support.run import run

# -- codec errors ----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A type that these calls do not declare, so that its value would come back as a list."""

    one: int
    other: object


async def unstorable() -> object:
    return Pair(1, {2})


PAIR = Pair(1, 2)


def test_who_writes_what_cannot_be_stored_is_told_and_nothing_is_stored(on: On) -> None:
    async def body(cache: Cache) -> None:
        for write in (cache.set("k", PAIR), cache.add("k", PAIR), cache.set_many({"good": 1, "k": PAIR})):
            with pytest.raises(CodecError, match="would come back as list: pass type="):
                await write
        assert await cache.get_many(["k", "good"]) == {}

    on(body)


def test_who_paid_for_a_load_gets_it_though_it_cannot_be_stored(on: On, caplog: pytest.LogCaptureFixture) -> None:
    async def body(cache: Cache) -> None:
        for _ in range(2):
            assert await cache.get_or_set("k", unstorable) == Pair(1, {2})
        assert await cache.refresh("k", unstorable) == Pair(1, {2})
        assert await cache.get("k", MISSING) is MISSING
        assert cache.stats().uncached == 3

    on(body)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "it is answered but not kept" in caplog.text


def test_under_strict_a_load_that_cannot_be_stored_raises(driver: Driver) -> None:
    async def main() -> None:
        async with driver.cache(strict=True) as cache:
            with pytest.raises(CodecError):
                await cache.get_or_set("k", unstorable)

    run(main())


def test_too_large_a_value_is_told_to_who_writes_it_and_answered_to_who_loads_it(driver: Driver) -> None:
    async def load() -> str:
        return "x" * 2000

    async def main() -> None:
        async with driver.cache(max_value_bytes=1000) as cache:
            with pytest.raises(CodecError, match="over CACHE_MAX_VALUE_BYTES"):
                await cache.set("k", "x" * 2000)
            assert await cache.get_or_set("k", load) == "x" * 2000
            assert await cache.get("k", MISSING) is MISSING

    run(main())


# -- the end ---------------------------------------------------------------------------------------------------------


def test_after_close_every_verb_says_so(driver: Driver) -> None:
    async def load() -> int | NoStore[int] | Keep[int]:
        return 1

    async def main() -> None:
        async with driver.cache() as cache:
            await cache.set("k", 1)
        for call in (
            cache.get("k"),
            cache.get_many(["k"]),
            cache.set("k", 1),
            cache.add("k", 1),
            cache.delete("k"),
            cache.incr("k"),
            cache.touch("k", 1),
            cache.clear(),
            cache.invalidate_tags("t"),
            cache.get_or_set("k", load),
            cache.refresh("k", load),
            cache.lookup("k"),
            cache.explain("k"),
        ):
            with pytest.raises(Closed):
                await call
        assert cache.peek("k") is None
        await cache.close()

    run(main())
