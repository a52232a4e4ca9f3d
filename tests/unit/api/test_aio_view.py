"""``SyncCache.aio``: tasks beside threads, on the same near store, flights and link, on any event loop."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fleetcache import MISSING, Closed, SyncCache
from tests.conftest import StartServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


@pytest.fixture(params=["memory", "valkey"])
def cache(request: pytest.FixtureRequest, prefix: str) -> Iterator[SyncCache]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("server").url
    with SyncCache(url, prefix=prefix, operation_timeout="5s", max_staleness="30s") as cache:
        yield cache


class Held:
    """A loader for both worlds, which waits for a signal."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.go = threading.Event()

    def in_thread(self) -> str:
        self.loads.append("thread")
        assert self.go.wait(5)
        return "loaded"

    async def in_task(self) -> str:
        self.loads.append("task")
        await eventually(self.go.is_set)
        return "loaded"


def test_what_one_side_stored_the_other_finds_near(cache: SyncCache) -> None:
    async def body() -> None:
        await cache.aio.set("by a task", [1])
        assert cache.peek("by a task") == [1]
        assert cache.aio.peek("by a thread") == [2]

    cache.set("by a thread", [2])
    run(body())
    assert cache.get("by a task") == [1]


def test_any_loop_will_do_one_after_the_other(cache: SyncCache) -> None:
    for number in range(3):
        run(cache.aio.set(f"k{number}", number))
        assert run(cache.aio.get_many(["k0", "k1", "k2"])) == {f"k{n}": n for n in range(number + 1)}


def test_two_loops_at_once_join_one_load(cache: SyncCache) -> None:
    held = Held()

    def elsewhere() -> str:
        return run(cache.aio.get_or_set("k", held.in_task))

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(elsewhere)
        wait_until(lambda: held.loads)
        second = pool.submit(elsewhere)
        wait_until(lambda: cache.stats().joins == 1)
        held.go.set()
        assert [first.result(5), second.result(5)] == ["loaded", "loaded"]
    assert held.loads == ["task"]


@pytest.mark.parametrize("starter", ["task", "thread"])
def test_tasks_and_threads_join_each_others_loads(cache: SyncCache, starter: str) -> None:
    async def body() -> None:
        held = Held()

        def side(name: str) -> Awaitable[str]:
            if name == "task":
                return asyncio.ensure_future(cache.aio.get_or_set("k", held.in_task))
            return asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "k", held.in_thread))

        first = side(starter)
        await eventually(lambda: held.loads)
        second = side("thread" if starter == "task" else "task")
        await eventually(lambda: cache.stats().joins == 1)
        held.go.set()
        assert [await first, await second] == ["loaded", "loaded"]
        assert held.loads == [starter]

    run(body())


def test_a_load_takes_longer_than_any_operation_may(prefix: str, server: Any) -> None:
    async def load() -> str:
        await asyncio.sleep(0.3)
        return "slow"

    with SyncCache(server.url, prefix=prefix, operation_timeout="100ms") as cache:
        assert run(cache.aio.get_or_set("k", load)) == "slow"


def test_a_cancelled_starter_does_not_end_the_load_of_the_others(cache: SyncCache) -> None:
    async def body() -> None:
        held = Held()
        starter = asyncio.ensure_future(cache.aio.get_or_set("k", held.in_task))
        await eventually(lambda: held.loads)
        other = asyncio.ensure_future(cache.aio.get_or_set("k", held.in_task))
        await eventually(lambda: cache.stats().joins == 1)
        starter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starter
        held.go.set()
        assert await other == "loaded"
        assert held.loads == ["task"]

    run(body())


def test_the_last_one_who_leaves_ends_the_load(cache: SyncCache) -> None:
    started, ended = asyncio.Event(), list[str]()

    async def load() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    async def body() -> None:
        asked = asyncio.ensure_future(cache.aio.get_or_set("k", load))
        await started.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await eventually(lambda: ended == ["cancelled"])
        assert await cache.aio.get("k", "none") == "none"

    run(body())


def test_a_thread_takes_over_from_a_loop_that_ended_in_the_middle(cache: SyncCache) -> None:
    held = Held()

    async def leaves() -> None:
        load = asyncio.ensure_future(cache.aio.get_or_set("k", held.in_task))
        await eventually(lambda: held.loads)
        waiting.append(pool.submit(cache.get_or_set, "k", lambda: "by the thread"))
        await eventually(lambda: cache.stats().joins == 1)
        load.cancel()

    waiting: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(AssertionError, match="left pending"):  # the thread still waits for it, and the loop ends it
            run(leaves())
        assert waiting[0].result(5) == "by the thread"


def test_loaders_errors_are_everybodys_and_a_def_is_told(cache: SyncCache) -> None:
    async def fails() -> None:
        raise LookupError("no such user")

    async def body() -> None:
        with pytest.raises(LookupError, match="no such user"):
            await cache.aio.get_or_set("k", fails)
        with pytest.raises(TypeError, match="write it as `async def`"):
            await cache.aio.get_or_set("k", lambda: 1)  # type: ignore[arg-type,return-value] # the error under test

    run(body())


def test_namespaces_functions_and_bypass(cache: SyncCache) -> None:
    calls: list[int] = []
    users = cache.aio.namespace("users")

    @users.cached(ttl="1m", key="double:{n}", clearable=True)
    async def double(n: int) -> int:
        calls.append(n)
        return 2 * n

    async def body() -> None:
        assert [await double(2), await double(2)] == [4, 4]
        await double.invalidate_all()
        assert await double.refresh(2) == 4
        with cache.aio.bypass():
            assert await double(2) == 4
        assert cache.namespace("users").get("double:2") == 4
        await users.clear()
        assert await users.get("double:2", MISSING) is MISSING
        assert (await cache.aio.health()).status == cache.health().status
        assert (await cache.aio.explain("k")).key == "k"

    run(body())
    assert calls == [2, 2, 2]


def test_a_frozen_server_does_not_hold_up_the_loop(fresh_server: StartServer, prefix: str) -> None:
    frozen = fresh_server()
    longest = 0.0

    async def body(cache: SyncCache) -> None:
        nonlocal longest

        async def beat() -> None:
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - before)

        await cache.aio.set("k", 1)
        frozen.freeze()
        heart = asyncio.create_task(beat())
        before = time.monotonic()
        assert await cache.aio.get("other", "none") == "none"
        took = time.monotonic() - before
        heart.cancel()
        assert took > 0.5  # seconds: it waited for the server

    with SyncCache(frozen.url, prefix=prefix, operation_timeout="1s") as cache:
        run(body(cache))
        assert longest < 0.9
        frozen.thaw()


def test_no_thread_is_used_but_the_links(prefix: str, server: Any) -> None:
    with SyncCache(server.url, prefix=prefix) as cache:

        async def body() -> None:
            before = threading.active_count()
            calls: list[Coroutine[Any, Any, Any]] = [cache.aio.get(f"k{number}") for number in range(50)]
            await asyncio.gather(*calls)
            assert threading.active_count() <= before  # a thread of an earlier test may end now

        run(body())


def test_a_closed_cache_says_so(cache: SyncCache) -> None:
    cache.close()
    with pytest.raises(Closed):
        run(cache.aio.get("k"))
    assert cache.aio.closed
    assert run(cache.aio.health()).reason == "closed"


def test_a_value_that_near_holds_as_another_type_is_read_as_the_one_that_was_asked_for(cache: SyncCache) -> None:
    cache.set("k", 1)
    body: Callable[[], Coroutine[Any, Any, Any]] = lambda: cache.aio.get("k", type=float)  # noqa: E731 - one call
    assert type(run(body())) is float
