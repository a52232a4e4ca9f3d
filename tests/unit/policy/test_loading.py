"""get_or_set and refresh: one load, the loader's own decisions by its result, and the waits of callers."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar

import pytest

from fleetcache import MISSING, Cache, Keep, LoadCycle, NoStore
from fleetcache.format.keys import Layout
from tests.support.drivers import On
from tests.support.origins import Origin
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually


def test_a_value_is_loaded_once_and_then_answered(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        for _ in range(3):
            assert await cache.get_or_set("k", origin.load) == "value 1"
        assert await cache.get("k", type=str) == "value 1"
        assert origin.calls == 1

    on(body)


def test_all_who_ask_at_once_share_one_load(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        callers = [asyncio.create_task(cache.get_or_set("k", origin.load)) for _ in range(50)]
        await eventually(lambda: cache.stats().joins == 49)
        origin.go.set()
        assert await asyncio.gather(*callers) == ["value 1"] * 50
        assert origin.calls == 1
        assert cache.stats().flights == 0

    on(body)


def test_the_loaders_own_exception_reaches_everybody_and_nothing_is_stored(on: On) -> None:
    async def body(cache: Cache) -> None:
        error = LookupError("no such user")
        origin = Origin(error, waits=True)
        callers = [asyncio.create_task(cache.get_or_set("k", origin.load)) for _ in range(5)]
        await eventually(lambda: cache.stats().joins == 4)
        origin.go.set()
        assert await asyncio.gather(*callers, return_exceptions=True) == [error] * 5
        assert await cache.get("k", MISSING) is MISSING
        origin.error = None
        assert await cache.get_or_set("k", origin.load) == "value 2"

    on(body)


def test_not_kept_is_answered_to_all_who_wait_and_to_nobody_later(on: On) -> None:
    origin_calls = 0
    go = asyncio.Event()

    async def load() -> str | NoStore[str]:
        nonlocal origin_calls
        origin_calls += 1
        await go.wait()
        return NoStore("unknown")

    async def body(cache: Cache) -> None:
        callers = [asyncio.create_task(cache.get_or_set("k", load)) for _ in range(5)]
        await eventually(lambda: cache.stats().joins == 4)
        go.set()
        assert await asyncio.gather(*callers) == ["unknown"] * 5
        assert origin_calls == 1
        assert await cache.get("k", MISSING) is MISSING
        await cache.get_or_set("k", load)
        assert origin_calls == 2

    on(body)


def test_the_result_may_decide_its_own_life(on: On) -> None:
    async def load() -> Keep[str]:
        return Keep("short", ttl="20ms", stale="1m")

    async def body(cache: Cache) -> None:
        assert await cache.get_or_set("k", load, ttl="1h") == "short"

        async def absent() -> bool:
            return await cache.get("k", MISSING) is MISSING

        await eventually(absent)
        assert await cache.get("k", allow_stale=True) == "short"

    on(body)


def test_a_result_that_decides_nonsense_is_an_error(on: On) -> None:
    async def load() -> Keep[str]:
        return Keep("value", ttl=0)

    async def body(cache: Cache) -> None:
        with pytest.raises(ValueError, match=r"Keep\.ttl = 0 must be more than zero"):
            await cache.get_or_set("k", load)
        assert await cache.get("k", MISSING) is MISSING

    on(body)


def test_refresh_loads_and_replaces_what_is_there(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()
        assert await cache.refresh("k", origin.load) == "value 1"
        assert await cache.refresh("k", origin.load) == "value 2"
        assert await cache.get("k") == "value 2"
        origin.error = LookupError("gone")
        with pytest.raises(LookupError):
            await cache.refresh("k", origin.load)
        assert await cache.get("k") == "value 2"

    on(body)


def test_a_removal_beats_the_load_that_runs(on: On) -> None:
    async def body(cache: Cache) -> None:
        old, new = Origin(waits=True), Origin()
        caller = asyncio.create_task(cache.get_or_set("k", old.load, tags=["t"]))
        await eventually(lambda: old.calls)
        await cache.delete("k")
        assert await cache.get_or_set("k", new.load) == "value 1"  # does not join the doomed load
        assert new.calls == 1
        old.go.set()
        assert await caller == "value 1"
        await cache.delete("k")
        old.go.clear()
        caller = asyncio.create_task(cache.get_or_set("k", old.load, tags=["t"]))
        await eventually(lambda: old.calls == 2)
        await cache.invalidate_tags("t")
        old.go.set()
        assert await caller == "value 2"
        assert await cache.get("k", MISSING) is MISSING

    on(body)


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_caller_leaves_the_load_to_the_others_and_the_last_one_ends_it(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin(waits=True)
        callers = [asyncio.create_task(cache.get_or_set("k", origin.load)) for _ in range(3)]
        await eventually(lambda: cache.stats().joins == 2 and origin.calls)
        callers[0].cancel()
        callers[2].cancel()
        await asyncio.wait(callers[::2])
        assert origin.cancelled == 0
        callers[1].cancel()
        await eventually(lambda: origin.cancelled)
        await eventually(lambda: cache.stats().flights == 0)
        origin.go.set()
        assert await cache.get_or_set("k", origin.load) == "value 2"  # the lease was released

    on(body)


# -- loaders that call the cache -------------------------------------------------------------------------------------


def test_a_loader_may_ask_for_other_keys(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()

        async def outer() -> str:
            return "of " + await cache.get_or_set("inner", origin.load)

        assert await cache.get_or_set("outer", outer) == "of value 1"

    on(body)


def test_a_loader_that_asks_for_its_own_key_is_an_error_not_a_deadlock(on: On) -> None:
    async def body(cache: Cache) -> None:
        async def a() -> str:
            return await cache.get_or_set("b", b)

        async def b() -> str:
            return await cache.get_or_set("a", a)

        async def own() -> str:
            return await cache.get_or_set("own", own)

        for key, loader in (("own", own), ("a", a)):
            with pytest.raises(LoadCycle):
                await cache.get_or_set(key, loader)
        assert cache.stats().flights == 0

    on(body)


def test_a_loader_sees_the_context_of_its_caller(on: On) -> None:
    request: ContextVar[str] = ContextVar("request")

    async def load() -> str:
        return request.get()

    async def body(cache: Cache) -> None:
        request.set("r1")
        assert await cache.get_or_set("k", load) == "r1"

    on(body)


def test_close_gives_back_the_right_of_a_load_that_does_not_end(server: Server, prefix: str) -> None:
    async def main() -> None:
        ending = asyncio.Event()

        async def load() -> str:
            while not ending.is_set():
                with suppress(asyncio.CancelledError):  # as a loader should not do
                    await ending.wait()
            return "late"

        with server.client() as client:
            cache = Cache(server.url, prefix=prefix, operation_timeout="1s")
            caller = asyncio.create_task(cache.get_or_set("k", load))
            await eventually(lambda: client("EXISTS", Layout(prefix).entry("k")) == 1)
            await cache.close()
            held = client("EXISTS", Layout(prefix).entry("k"))
            ending.set()
            await asyncio.wait({caller})
            assert caller.cancelled() or caller.exception() is not None or caller.result() == "late"
            assert held == 0

    run(main())


def test_a_hit_close_to_the_end_starts_the_refresh(on: On) -> None:
    async def body(cache: Cache) -> None:
        origin = Origin()

        async def load() -> str:
            await asyncio.sleep(0.02)
            return await origin.load()

        async def hit() -> bool:
            await cache.get_or_set("k", load, ttl=0.4, early=True)
            return cache.stats().refreshes > 0

        await eventually(hit)

    on(body)
