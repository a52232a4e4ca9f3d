"""Many keys at once: the same results as one by one, in one round trip each way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.policy.batches import MAX_LOADED
from fleetcache.policy.streaming import SLICE
from fleetcache.testing import ManualClock, memory_cache
from tests.support.batch_origin import BatchOrigin
from tests.support.client import Client
from tests.support.drivers import Driver, On
from tests.support.run import run

MANY = [f"key:{number}" for number in range(100)]


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
        found = await cache.get_or_set_many(["c", "b", "a", "c"], BatchOrigin().load)
        assert list(found.items()) == [("c", "C"), ("b", "B"), ("a", "A")]
        assert list(await cache.get_many(["b", "a", "c"])) == ["b", "a", "c"]

    on(body)


def test_namespaces_hand_the_loader_their_own_keys(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin, view = BatchOrigin(), cache.namespace("n")
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
    # one trip each for the entries, the leases, the values
    "get_or_set_many": (lambda cache: cache.get_or_set_many(MANY, BatchOrigin().load), 3),
}


def reads(client: Client) -> int:
    """Return how often the server read from a connection: a small batch in one write is one read."""
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
        # One write may be read in pieces; 100 round trips could not hide among so few.
        assert trips <= run(main(client)) <= trips * 10


# -- beside other tasks ----------------------------------------------------------------------------------------------


def test_without_a_server_other_tasks_have_their_turn_between_the_parts_of_a_batch() -> None:
    """No part waits for anything there, and each may take less than a slice."""
    clock, steps = ManualClock(), list[str]()

    async def load(keys: list[str]) -> dict[str, str]:
        steps.append("load")
        return dict.fromkeys(keys, "v")

    async def main() -> None:
        async def beside() -> None:
            while True:
                steps.append(f"turn with {len(cache._engine.near)} stored")
                await asyncio.sleep(0)

        async with memory_cache(clock=clock, near_max_items=10 * MAX_LOADED) as cache:
            loading = cache._engine.policy.loading
            unwrap = loading.unwrap

            def takes_time(run: Any, result: Any) -> Any:
                clock.advance(SLICE)
                return unwrap(run, result)

            loading.unwrap = takes_time
            watching = asyncio.create_task(beside())
            keys = [str(number) for number in range(2 * MAX_LOADED)]
            assert len(await cache.get_or_set_many(keys, load)) == len(keys)
            watching.cancel()

    run(main())
    assert steps == ["load", "turn with 0 stored", "turn with 1000 stored", "load", "turn with 1000 stored"]
