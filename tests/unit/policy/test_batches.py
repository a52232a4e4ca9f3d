"""Many keys at once: the same results as one by one, in one round trip each way."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest

from fleetcache import MISSING, Cache, Keep, NoStore
from tests.support.client import Client
from tests.support.drivers import Driver, On, commands_of
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

MANY = [f"key:{number}" for number in range(100)]


class Origin:
    """A batch loader that writes down what it was asked for."""

    def __init__(self, *, lacks: tuple[str, ...] = ()) -> None:
        self.asked: list[list[str]] = []
        self.lacks = lacks
        self.go = asyncio.Event()
        self.go.set()

    async def load(self, keys: list[str]) -> dict[str, str]:
        self.asked.append(keys)
        await self.go.wait()
        return {key: key.upper() for key in keys if key not in self.lacks}


def test_what_was_set_together_is_got_together_and_absent_keys_are_left_out(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set_many({"a": 1, "b": None, "c": [3]}, tags=["t"])
        assert await cache.get_many(["c", "absent", "a", "b", "a"]) == {"c": [3], "a": 1, "b": None}
        assert await cache.get_many([]) == {}
        assert await cache.get_many(key for key in "ab") == {"a": 1, "b": None}
        await cache.invalidate_tags("t")
        assert await cache.get_many(["a", "b", "c"]) == {}

    on(body)


def test_results_come_in_the_order_that_was_asked_for(on: On) -> None:
    async def body(cache: Cache) -> None:
        await cache.set("b", "B")
        found = await cache.get_or_set_many(["c", "b", "a", "c"], Origin().load)
        assert list(found.items()) == [("c", "C"), ("b", "B"), ("a", "A")]
        assert list(await cache.get_many(["b", "a", "c"])) == ["b", "a", "c"]

    on(body)


def test_the_loader_is_asked_once_for_all_that_is_missing(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
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
        origin = Origin(lacks=("b",))
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
        assert await cache.get_or_set_many(["a", "b"], Origin().load) == {"a": "A", "b": "B"}

    on(body)


def test_overlapping_batches_load_each_key_once_and_never_wait_in_a_ring(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        batches = [["a", "b", "c"], ["c", "b", "a"], ["b", "d", "a"], ["d", "c"]]
        found = await asyncio.wait_for(
            asyncio.gather(*(cache.get_or_set_many(keys, origin.load) for keys in batches)), timeout=5
        )
        assert found == [{key: key.upper() for key in keys} for keys in batches]
        assert sorted(key for keys in origin.asked for key in keys) == ["a", "b", "c", "d"]

    on(body)


def test_a_batch_and_a_single_call_share_one_load(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
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


def test_namespaces_hand_the_loader_their_own_keys(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin, view = Origin(), cache.namespace("n")
        assert await view.get_or_set_many(["a"], origin.load) == {"a": "A"}
        assert origin.asked == [["a"]]
        assert await view.get_many(["a"]) == {"a": "A"}
        assert await cache.get_many(["a"]) == {}

    on(body)


# -- one round trip each way -----------------------------------------------------------------------------------------

Call = Callable[[Cache], Awaitable[Any]]

BATCHES: dict[str, tuple[Call, int]] = {
    "get_many": (lambda cache: cache.get_many(MANY), 1),
    "set_many": (lambda cache: cache.set_many(dict.fromkeys(MANY, 1)), 1),
    "delete_many": (lambda cache: cache.delete_many(MANY), 1),
    # what is there, the leases, the values
    "get_or_set_many": (lambda cache: cache.get_or_set_many(MANY, Origin().load), 3),
}


def reads(client: Client) -> int:
    """How often the server read from a connection: a small batch that is written at once is read at once."""
    lines = client("INFO", "stats").decode().splitlines()
    return int(next(line.split(":")[1] for line in lines if line.startswith("total_reads_processed")))


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_one_write(remote: Driver, name: str) -> None:
    assert remote.server is not None
    call, trips = BATCHES[name]

    async def main(client: Client) -> int:
        async with remote.cache() as cache:
            await cache.set("warm", 1)
            before = reads(client)
            await call(cache)
            return reads(client) - before - 1

    with remote.server.client() as client:
        # What was written at once may be read in pieces; 100 round trips could not hide among so few.
        assert trips <= run(main(client)) <= trips * 10


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
            async with through.cache(operation_timeout="100ms") as cache:
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
