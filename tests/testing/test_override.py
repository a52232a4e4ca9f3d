"""``override``: objects that app code holds use another cache for a while, and their own again afterwards."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fleetcache import Cache, Closed, CodecError
from fleetcache.testing import ManualClock, memory_cache, override
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import wait_until

# Made at import, as in an app, for a server that no test can reach.
cache = Cache("redis://cache.invalid:1", prefix="shop", ttl="10m")
prices = cache.namespace("prices")
asked: list[str] = []


@prices.cached
async def price(item: str) -> int:
    asked.append(item)
    return len(asked)


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs while the test does something else, as a test client runs the app."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ask(loop: asyncio.AbstractEventLoop, question: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(question, loop).result(5)


def test_everything_made_at_import_goes_with_it_and_comes_back() -> None:
    async def main() -> None:
        async with override(cache) as memory:
            assert [await price("pear"), await price("pear")] == [1, 1]
            assert await memory.namespace("prices").get(price.key("pear"), type=int) == 1
            assert price.peek("pear") == 1
            assert (await cache.health()).driver == "memory"
            assert cache.stats().near_items == memory.stats().near_items == 1
        assert price.peek("pear") is None
        assert cache.stats().near_items == 0
        assert cache.settings.driver == "redis"

    run(main())


def test_every_block_begins_empty() -> None:
    async def main() -> None:
        for number in (1, 2):
            with override(cache):
                assert await price("pear") == number

    run(main())


def test_each_may_be_on_a_loop_of_its_own_or_all_on_one_block() -> None:
    with override(cache):
        for _ in range(2):
            run(price("pear"))
    assert asked == ["pear"]


def test_a_namespace_made_in_the_block_comes_back_too() -> None:
    async def main() -> None:
        async with override(cache):
            late = cache.namespace("late")
            await late.set("k", 1)
            assert await late.get("k") == 1
        assert late.peek("k") is None
        assert late.stats().link != "none"

    run(main())


def test_app_settings_stay_and_what_is_only_logged_raises() -> None:
    async def main() -> None:
        async with override(cache) as memory:
            assert (memory.settings.ttl, memory.settings.prefix) == (600, "shop")
            assert (memory.settings.driver, memory.settings.strict) == ("memory", True)
            assert cache.settings == memory.settings
            with pytest.raises(CodecError):
                await cache.get_or_set("k", _unstorable)
        assert not cache.settings.strict

    run(main())


async def _unstorable() -> object:
    return object()


def test_an_app_without_near_still_has_a_cache() -> None:
    bare = Cache("redis://cache.invalid:1", prefix="bare", near_max_bytes=0)

    async def main() -> None:
        async with override(bare):
            await bare.set("k", 1)
            assert await bare.get("k") == 1

    run(main())


def test_an_app_that_requires_its_server_can_be_tested() -> None:
    with override(Cache("redis://cache.invalid:1", prefix="needy", required=True)) as memory:
        assert not memory.settings.required


def test_a_given_cache_is_worked_on_and_stays_open() -> None:
    async def main() -> None:
        async with memory_cache() as other:
            async with override(cache, other) as given:
                assert given is other
                await cache.set("k", 1)
            assert not other.closed
            assert await other.get("k") == 1
            assert cache.peek("k") is None

    run(main())


def test_a_cache_on_a_server_may_be_given(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as other, override(cache, other):
            assert await price("pear") == 1
            with server.client() as raw:
                assert [key for key in raw("KEYS", f"{prefix}:e:*") if b"pear" in key]

    run(main())


def test_blocks_nest_and_may_end_in_any_order() -> None:
    outer, inner = override(cache), override(cache)

    async def main() -> None:
        with outer:
            await cache.set("k", "outer")
            inner.__enter__()
            assert await cache.get("k") is None
            await cache.set("k", "inner")
        assert await cache.get("k") == "inner"
        inner.__exit__()
        assert cache.peek("k") is None

    run(main())


def test_the_clock_moves_it() -> None:
    clock = ManualClock()

    async def main() -> None:
        async with override(cache, clock=clock):
            await price("pear")
            clock.advance("9m59s")
            assert await price("pear") == 1
            clock.advance("2s")
            assert await price("pear") == 2

    run(main())


def test_an_app_that_is_started_twice_begins_empty_each_time() -> None:
    async def life_of_the_app() -> None:
        async with cache:
            await price("pear")

    async def main() -> None:
        async with override(cache):
            await life_of_the_app()
            assert cache.closed
            with pytest.raises(Closed):
                await price("pear")
            await life_of_the_app()
        assert asked == ["pear", "pear"]
        assert not cache.closed

    run(main())


def test_only_in_a_test_a_closed_cache_opens_again() -> None:
    async def main() -> None:
        memory = memory_cache()
        await memory.close()
        with pytest.raises(Closed):
            await memory.open()

    run(main())


def test_what_is_under_way_at_the_end_is_cancelled() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def never() -> int:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        return 1

    async def main() -> None:
        async with override(cache):
            asking = asyncio.ensure_future(cache.get_or_set("k", never))
            await began.wait()
        assert ended.is_set()
        with pytest.raises(Closed):
            await asking

    run(main())


def test_what_runs_on_another_threads_loop_ends_with_the_block(server: Server, prefix: str) -> None:
    with loop_in_a_thread() as loop:
        with override(cache, clock=None) as memory:
            assert ask(loop, price("pear")) == 1
        assert memory.closed
        other = Cache(server.url, prefix=prefix, operation_timeout="5s")
        with override(cache, other):
            assert ask(loop, price("pear")) == 2
        assert ask(loop, other.get("k", "still open")) == "still open"
        ask(loop, other.close())


def test_a_loop_that_stands_still_is_tidied_up() -> None:
    loop = asyncio.new_event_loop()
    with override(cache) as memory:
        assert loop.run_until_complete(price("pear")) == 1
    assert memory.closed
    assert asyncio.all_tasks(loop) == set()
    loop.close()


def test_nothing_is_kept_of_a_fresh_cache() -> None:
    with override(cache) as memory:
        run(price("pear"))
    gone = weakref.ref(memory._engine)
    del memory
    wait_until(lambda: gc.collect() is not None and gone() is None)


def test_wrong_use_says_so() -> None:
    with pytest.raises(TypeError, match="another cache or a clock"):
        override(cache, memory_cache(), clock=ManualClock())
    again = override(cache)
    with again, pytest.raises(RuntimeError, match="in force already"):
        again.__enter__()
    with pytest.raises(RuntimeError, match="not in force"):
        again.__exit__()
