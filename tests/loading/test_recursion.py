"""Cached functions that call themselves: a tree of categories, a bill of materials."""

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from tests.support.run import run
from tests.support.servers import Server

LEVELS = 100


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


def in_a_bare_thread(work: Callable[[], Any]) -> Any:
    """Return the result of ``work``, called on the bare stack of a new thread."""
    results: list[Any] = []
    thread = Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_a_hundred_levels_load_and_every_one_is_stored() -> None:
    cache = SyncCache("memory://")

    @cache.cached(key="depth:{n}")
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    assert in_a_bare_thread(lambda: depth(LEVELS)) == LEVELS
    assert (cache.stats().loads, cache.stats().near_items) == (LEVELS + 1, LEVELS + 1)
    assert cache.peek("depth:1") == 1


def test_a_tree_that_meets_its_parts_again_loads_each_once(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="5s") as cache:

        @cache.cached(key="ways:{steps}")
        def ways(steps: int) -> int:
            return 1 if steps < 2 else ways(steps - 1) + ways(steps - 2)

        assert in_a_bare_thread(lambda: ways(60)) == 2504730781961
        assert cache.stats().loads == 61


def test_where_the_stack_ends_the_functions_own_error_comes_and_nothing_is_half_done(
    server: Server, prefix: str
) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="5s") as cache:

        @cache.cached(key="endless:{n}")
        def endless(n: int) -> int:
            return endless(n + 1)

        @cache.cached(key="even:{n}")
        def even(n: int) -> bool:
            return cache.get_or_set(f"odd:{n}", lambda: not even(n - 1)) if n else True

        for _ in range(3):
            with pytest.raises(RecursionError):
                endless(0)
        assert (cache.stats().flights, cache.stats().epoch) == (0, 1)
        assert even(10)
        assert cache.get("even:9") is False


def test_in_tasks_the_depth_has_no_end_of_ours() -> None:
    async def main() -> None:
        async with Cache("memory://") as cache:

            @cache.cached(key="depth:{n}")
            async def depth(n: int) -> int:
                return 0 if n == 0 else 1 + await depth(n - 1)

            assert await depth(5 * LEVELS) == 5 * LEVELS
            assert cache.stats().near_items == 5 * LEVELS + 1

            @cache.sync.cached(key="threads:{n}")
            def in_threads(n: int) -> int:
                return 0 if n == 0 else 1 + in_threads(n - 1)

            assert await asyncio.to_thread(in_threads, LEVELS) == LEVELS
            assert await cache.get("threads:1") == 1

    run(main())


def test_a_task_of_a_cache_of_threads_nests_as_deeply() -> None:
    cache = SyncCache("memory://")

    @cache.aio.cached(key="depth:{n}")
    async def depth(n: int) -> int:
        return 0 if n == 0 else 1 + await depth(n - 1)

    assert asyncio.run(depth(LEVELS)) == LEVELS
    assert cache.stats().near_items == LEVELS + 1
