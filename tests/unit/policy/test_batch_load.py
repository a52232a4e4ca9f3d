"""Batches that load: one call of the loader for the absent keys, and one load of each key among many callers."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from fleetcache import MISSING, Cache, Keep, NoStore
from fleetcache.format.entry import failed_mark
from fleetcache.format.keys import Layout
from tests.support.batch_origin import BatchOrigin
from tests.support.drivers import Driver, On, commands_of
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually


def test_the_loader_is_asked_once_for_all_that_is_missing(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = BatchOrigin()
        await cache.set("b", "stored")
        assert await cache.get_or_set_many(["a", "b", "c"], origin.load) == {"a": "A", "b": "stored", "c": "C"}
        assert await cache.get_or_set_many(["a", "b", "c", "d"], origin.load) == {
            "a": "A",
            "b": "stored",
            "c": "C",
            "d": "D",
        }
        assert [sorted(keys) for keys in origin.asked] == [["a", "c"], ["d"]]
        assert await cache.get("c") == "C"
        assert await cache.get_or_set_many([], origin.load) == {}

    on(body)


def test_keys_that_the_loader_does_not_know_are_left_out_and_asked_again(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = BatchOrigin(lacks=("b",))
        for _ in range(2):
            assert await cache.get_or_set_many(["a", "b"], origin.load) == {"a": "A"}
        assert await cache.get("b", MISSING) is MISSING
        assert [sorted(keys) for keys in origin.asked] == [["a", "b"], ["b"]]

    on(body)


def test_each_value_may_decide_how_it_is_kept(on: On) -> None:
    async def load(_keys: list[str]) -> Mapping[str, Any]:
        return {"plain": 1, "kept": Keep(2, ttl="1h"), "not": NoStore(3)}

    async def body(cache: Cache) -> None:
        keys = ["plain", "kept", "not"]
        assert await cache.get_or_set_many(keys, load) == {"plain": 1, "kept": 2, "not": 3}
        assert await cache.get_many(keys) == {"plain": 1, "kept": 2}

    on(body)


def test_the_loaders_exception_is_the_callers_and_nothing_is_left_behind(on: On) -> None:
    async def load(keys: list[str]) -> dict[str, str]:
        raise LookupError(f"none of {len(keys)}")

    async def body(cache: Cache) -> None:
        with pytest.raises(LookupError, match="none of 2"):
            await cache.get_or_set_many(["a", "b"], load)
        assert cache.stats().flights == 0
        assert await cache.get_or_set_many(["a", "b"], BatchOrigin().load) == {"a": "A", "b": "B"}

    on(body)


def test_overlapping_batches_load_each_key_once_and_never_wait_in_a_ring(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = BatchOrigin()
        batches = [["a", "b", "c"], ["c", "b", "a"], ["b", "d", "a"], ["d", "c"]]
        found = await asyncio.wait_for(
            asyncio.gather(*(cache.get_or_set_many(keys, origin.load) for keys in batches)), timeout=5
        )
        assert found == [{key: key.upper() for key in keys} for keys in batches]
        assert sorted(key for keys in origin.asked for key in keys) == ["a", "b", "c", "d"]

    on(body)


def test_a_batch_and_a_single_call_share_one_load(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = BatchOrigin()
        origin.go.clear()
        batch = asyncio.create_task(cache.get_or_set_many(["a", "b"], origin.load))
        await eventually(lambda: origin.asked)

        async def never() -> str:
            raise AssertionError("the batch loads it")

        single = asyncio.create_task(cache.get_or_set("a", never))
        await eventually(lambda: cache.stats().joins)
        origin.go.set()
        assert await single == "A"
        assert await batch == {"a": "A", "b": "B"}

    on(body)


def test_a_batch_loads_a_key_whose_load_elsewhere_fails_while_the_batch_loads_others(on: On) -> None:
    failed, begun = asyncio.Event(), asyncio.Event()

    async def fails(_keys: list[str]) -> dict[str, str]:
        begun.set()
        await asyncio.sleep(0.02)
        raise LookupError

    async def load(keys: list[str]) -> dict[str, str]:
        await failed.wait()
        return {key: key.upper() for key in keys}

    async def body(cache: Cache) -> None:
        first = asyncio.create_task(cache.get_or_set_many(["a"], fails))
        await begun.wait()
        second = asyncio.create_task(cache.get_or_set_many(["a", "b"], load))
        with pytest.raises(LookupError):
            await first
        failed.set()
        assert await second == {"a": "A", "b": "B"}

    on(body)


def test_a_batch_loads_what_carries_a_tag_that_cannot_be_read(remote: Driver) -> None:
    server, tag = remote.server, Layout(remote.prefix).tag("tag")
    assert server is not None

    async def load(keys: list[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "loaded")

    async def main() -> None:
        async with remote.cache() as cache, remote.cache() as other:
            await other.set_many({"a": 1, "b": 2}, tags=["tag"])
            with server.client() as client:
                client.transaction(("DEL", tag), ("LPUSH", tag, "of another type"))
            async with asyncio.timeout(5):
                assert await cache.get_many(["a", "b"]) == {}
                assert await cache.get_or_set_many(["a", "b"], load) == {"a": "loaded", "b": "loaded"}

    run(main())


def test_a_batch_loads_on_a_mark_beside_a_load_of_its_process_that_hangs_without_a_right(
    one_server: Server, prefix: str
) -> None:
    hung, claim = asyncio.Event(), Layout(prefix).claim("k")

    async def hangs() -> str:
        await hung.wait()
        return "late"

    async def main() -> None:
        async with Cache(one_server.url, prefix=prefix, operation_timeout="5s") as cache:
            await cache.set("k", "old", tags=["tag"])
            await cache.invalidate_tags("tag")
            first = asyncio.create_task(cache.get_or_set("k", hangs))
            flights, origin = cache._engine.flights, BatchOrigin()
            await eventually(lambda: flights.is_loaded("k"))
            flight = flights.get("k")
            assert flight is not None
            flight.since = cache._engine.clock() - 60.0  # nobody waits for it any more
            with one_server.client() as raw:
                right = b"C" + b"c" * 16
                raw("SET", claim, right, "PX", 60_000)  # its own claim was evicted, and another process loads
                batch = asyncio.create_task(cache.get_or_set_many(["k"], origin.load))
                await eventually(lambda: cache.stats().waits)
                mark, life = failed_mark(right, 2, 20.0)
                raw("SET", claim, mark, "PX", life)
            assert await asyncio.wait_for(batch, 5) == {"k": "K"}
            assert origin.asked == [["k"]]
            assert flights.get("k") is flight
            assert await cache.get("k") == "K"
            hung.set()
            assert await first == "late"

    run(main())


def test_a_batch_that_waits_no_longer_for_loads_still_waits_for_a_mark_to_end(one_server: Server, prefix: str) -> None:
    """Without a pause it would read the server some hundred times."""

    async def main() -> None:
        async with Cache(one_server.url, prefix=prefix, load_wait="1ms", operation_timeout="5s") as cache:
            await cache.get("warm")
            with one_server.client() as raw:
                mark, life = failed_mark(b"L" + b"l" * 16, 2, 0.0)
                raw("SET", Layout(prefix).entry("k"), mark, "PX", life)
                before = commands_of(raw)["get"]
                assert await cache.get_or_set_many(["k"], BatchOrigin().load) == {"k": "K"}
                assert commands_of(raw)["get"] - before < 20

    run(main())
