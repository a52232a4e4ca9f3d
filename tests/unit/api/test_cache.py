"""Apps without a cache: a context that bypasses it, and the driver that stores nothing."""

import asyncio

import pytest

from fleetcache import MISSING, Cache, CodecError, NoStore, Unavailable
from tests.support.drivers import On
from tests.support.run import run
from tests.support.waiting import eventually


async def load() -> str:
    return "loaded"


async def load_many(keys: list[str]) -> dict[str, str]:
    return dict.fromkeys(keys, "loaded")


def test_a_bypassed_context_reads_nothing(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "stored")
        with cache.bypass():
            assert await cache.get("k", MISSING) is MISSING
            assert cache.peek("k") is None
            assert await cache.get_many(["k"]) == {}
            assert await cache.get_or_set("k", load) == "loaded"
            assert await cache.refresh("k", load) == "loaded"
            assert await cache.get_or_set_many(["k"], load_many) == {"k": "loaded"}
            assert await cache.namespace("n").get("k", MISSING) is MISSING
        assert await cache.get("k") == "stored"

    on(body)


def test_a_bypassed_context_stores_nothing(on: On) -> None:
    async def unkept() -> NoStore[str]:
        return NoStore("unkept")

    async def body(cache: Cache) -> None:
        with cache.bypass():
            assert await cache.get_or_set("loaded", load) == "loaded"
            assert await cache.get_or_set("loaded", unkept) == "unkept"
            assert not await cache.add("added", 1)
            assert not await cache.touch("added", "1m")
            with pytest.raises(Unavailable, match="bypassed"):
                await cache.incr("counted")
        assert await cache.get_many(["loaded", "added", "counted"]) == {}

    on(body)


def test_removals_of_a_bypassed_context_still_go_out(on: On) -> None:
    async def body(cache: Cache) -> None:
        keys = ["deleted", "set", "tagged", "kept"]
        await cache.set_many(dict.fromkeys(keys, 1))
        await cache.set("tagged", 1, tags=["t"])
        with cache.bypass():
            assert await cache.delete("deleted")
            await cache.set("set", 2)  # the old value is no longer true
            await cache.invalidate_tags("t")
        assert await cache.get_many(keys) == {"kept": 1}
        with cache.bypass():
            await cache.clear()
        assert await cache.get_many(keys) == {}

    on(body)


def test_only_this_context_bypasses_and_only_this_cache(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "stored")
        async with Cache("memory://") as other:
            await other.set("k", "other")
            go = asyncio.Event()

            async def outside() -> object:
                await go.wait()
                return await cache.get("k")

            task = asyncio.create_task(outside())
            with cache.bypass():
                go.set()
                assert await task == "stored"
                with cache.bypass():
                    pass
                assert await cache.get("k", MISSING) is MISSING
                assert await asyncio.create_task(cache.get("k", MISSING)) is MISSING
                assert await other.get("k") == "other"
        assert await cache.get("k") == "stored"

    on(body)


def test_a_task_started_in_a_bypass_is_bypassed_until_that_block_is_left(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "stored")
        go = asyncio.Event()

        async def outlives() -> object:
            await go.wait()
            return await cache.get("k")

        with cache.bypass():
            task = asyncio.create_task(outlives())
            await asyncio.sleep(0)
        with cache.bypass():  # a block of its own, which the task was not started in
            go.set()
            assert await task == "stored"

    on(body)


def test_an_error_ends_the_bypass(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("k", "stored")
        with pytest.raises(LookupError), cache.bypass():
            raise LookupError
        assert await cache.get("k") == "stored"

    on(body)


# -- null ------------------------------------------------------------------------------------------------------------


def test_null_stores_nothing() -> None:
    async def main() -> None:
        async with Cache("null://") as cache:
            await cache.set("k", 1)
            await cache.set_many({"k": 1})
            await cache.add("k", 1)
            assert await cache.get("k", MISSING) is MISSING
            assert cache.peek("k") is None
            assert await cache.get_many(["k"]) == {}
            assert not await cache.delete("k")
            assert not await cache.touch("k", 1)
            assert [await cache.incr("k") for _ in range(2)] == [1, 1]
            assert await cache.get_or_set_many(["k"], load_many) == {"k": "loaded"}
            await cache.invalidate_tags("t")
            await cache.clear()
            assert cache.stats().near_items == 0

    run(main())


def test_nulls_flights_work() -> None:
    calls = 0
    go = asyncio.Event()

    async def counted() -> str:
        nonlocal calls
        calls += 1
        await go.wait()
        return "loaded"

    async def main() -> None:
        async with Cache("null://") as cache:
            callers = [asyncio.create_task(cache.get_or_set("k", counted)) for _ in range(5)]
            await eventually(lambda: cache.stats().joins == 4)
            go.set()
            assert await asyncio.gather(*callers) == ["loaded"] * 5
            assert calls == 1
            await cache.get_or_set("k", counted)
            assert calls == 2

    run(main())


def test_null_finds_the_same_mistakes() -> None:
    async def main() -> None:
        async with Cache("null://") as cache:
            with pytest.raises(CodecError):
                await cache.set("k", {1j: object()})

    run(main())
