"""``Cache.sync``: threads beside an event loop, on the same near store, flights and link."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from fleetcache import Cache, Closed, LoadCycle
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

Body = Callable[[Cache], Awaitable[None]]
On = Callable[[Body], None]


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


@pytest.fixture(params=["memory", "valkey"])
def both(request: pytest.FixtureRequest, prefix: str) -> On:
    """Runs a test body with one open cache, in memory and with a server."""

    def run_on(body: Body) -> None:
        async def main() -> None:
            url = "memory://" if request.param == "memory" else request.getfixturevalue("server").url
            async with Cache(url, prefix=prefix, operation_timeout="5s") as cache:
                await body(cache)

        run(main())

    return run_on


class Held:
    """A loader for both worlds, that waits for its sign."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.go = threading.Event()

    def in_thread(self) -> str:
        self.loads.append(threading.current_thread().name)
        assert self.go.wait(5)
        return "loaded"

    async def in_task(self) -> str:
        self.loads.append("task")
        await eventually(self.go.is_set)
        return "loaded"


def test_every_verb_works_beside_the_loop(both: On) -> None:
    async def body(cache: Cache) -> None:
        def thread() -> None:
            sync = cache.sync
            sync.set("a", 1, tags=("t",))
            assert sync.get("a") == 1
            assert sync.get_or_set("b", lambda: 2) == 2
            assert sync.get_or_set_many(["b", "c"], lambda keys: dict.fromkeys(keys, 3)) == {"b": 2, "c": 3}
            assert sync.get_many(["a", "c"]) == {"a": 1, "c": 3}
            assert sync.refresh("b", lambda: 4) == 4
            assert sync.incr("n") == 1
            assert sync.namespace("ns").get("a", "none") == "none"
            sync.invalidate_tags("t")
            assert sync.get("a", "gone") == "gone"
            assert sync.delete("b")
            assert sync.health().status == "healthy"

        await asyncio.to_thread(thread)
        assert await cache.get("c") == 3

    both(body)


def test_a_thread_joins_the_load_of_a_task(both: On) -> None:
    async def body(cache: Cache) -> None:
        held = Held()
        task = asyncio.ensure_future(cache.get_or_set("k", held.in_task))
        await eventually(lambda: held.loads)
        thread = asyncio.ensure_future(asyncio.to_thread(cache.sync.get_or_set, "k", held.in_thread))
        await eventually(lambda: cache.stats().joins == 1)
        held.go.set()
        assert [await task, await thread] == ["loaded", "loaded"]
        assert held.loads == ["task"]

    both(body)


def test_a_task_joins_the_load_of_a_thread(both: On) -> None:
    async def body(cache: Cache) -> None:
        held = Held()
        thread = asyncio.ensure_future(asyncio.to_thread(cache.sync.get_or_set, "k", held.in_thread))
        await eventually(lambda: held.loads)
        task = asyncio.ensure_future(cache.get_or_set("k", held.in_task))
        await eventually(lambda: cache.stats().joins == 1)
        held.go.set()
        assert [await task, await thread] == ["loaded", "loaded"]
        assert held.loads == [held.loads[0]] != ["task"]

    both(body)


def test_the_loader_runs_in_the_calling_thread_and_its_context(both: On) -> None:
    request: ContextVar[str] = ContextVar("request")

    async def body(cache: Cache) -> None:
        def thread() -> None:
            request.set("ours")
            me = threading.get_ident()
            assert cache.sync.get_or_set("k", lambda: [request.get(), threading.get_ident()]) == ["ours", me]

        await asyncio.to_thread(thread)

    both(body)


def test_the_loaders_exception_is_the_threads_and_every_joiners(both: On) -> None:
    async def body(cache: Cache) -> None:
        go = threading.Event()

        def load() -> str:
            go.wait(5)
            raise LookupError("no such user")

        thread = asyncio.ensure_future(asyncio.to_thread(cache.sync.get_or_set, "k", load))
        await eventually(lambda: cache.stats().loads == 1)
        task = asyncio.ensure_future(cache.get_or_set("k", Held().in_task))
        await eventually(lambda: cache.stats().joins == 1)
        go.set()
        for caller in (thread, task):
            with pytest.raises(LookupError, match="no such user"):
                await caller

    both(body)


def test_an_interrupted_thread_disturbs_nobody(both: On) -> None:
    async def body(cache: Cache) -> None:
        go = threading.Event()

        def load() -> str:
            go.wait(5)
            raise KeyboardInterrupt

        def thread() -> str:
            try:
                return str(cache.sync.get_or_set("k", load))
            except KeyboardInterrupt:
                return "interrupted"

        first = asyncio.ensure_future(asyncio.to_thread(thread))
        await eventually(lambda: cache.stats().loads == 1)
        held = Held()
        held.go.set()
        second = asyncio.ensure_future(cache.get_or_set("k", held.in_task))
        await eventually(lambda: cache.stats().joins == 1)
        go.set()
        assert [await first, await second] == ["interrupted", "loaded"]

    both(body)


def test_a_stale_hit_of_a_thread_is_refreshed_in_the_pool(both: On) -> None:
    async def body(cache: Cache) -> None:
        threads: list[str] = []

        def load() -> int:
            threads.append(threading.current_thread().name)
            return len(threads)

        def ask() -> Any:
            return cache.sync.get_or_set("k", load, ttl=0.05, stale="1m")

        assert await asyncio.to_thread(ask) == 1
        await asyncio.sleep(0.06)
        assert await asyncio.to_thread(ask) == 1
        await eventually(lambda: len(threads) == 2)
        assert threads[1] == "fleetcache-refresh"

    both(body)


def test_a_loader_that_asks_for_its_own_key_is_an_error(both: On) -> None:
    async def body(cache: Cache) -> None:
        def again() -> Any:
            return cache.sync.get_or_set("k", again)

        with pytest.raises(LoadCycle):
            await asyncio.to_thread(again)

    both(body)


def test_on_a_thread_that_runs_a_loop_it_is_an_error(both: On) -> None:
    async def body(cache: Cache) -> None:
        for call in (lambda: cache.sync.get("k"), lambda: cache.sync.get_or_set("k", lambda: 1), cache.sync.clear):
            with pytest.raises(RuntimeError, match="runs an event loop"):
                call()

    both(body)


def test_it_must_be_open_and_its_loop_alive() -> None:
    cache = Cache("memory://")
    with pytest.raises(RuntimeError, match="open the cache"):
        cache.sync.get("k")
    run(cache.open())
    with pytest.raises(Closed):
        cache.sync.get("k")


def test_cached_functions_bypass_and_methods(both: On) -> None:
    async def body(cache: Cache) -> None:
        calls: list[int] = []

        @cache.sync.cached(key="double:{n}")
        def double(n: int) -> int:
            calls.append(n)
            return 2 * n

        def thread() -> None:
            assert [double(2), double(2), double.peek(2)] == [4, 4, 4]
            with cache.sync.bypass():
                assert double(2) == 4
            assert calls == [2, 2]
            assert double.invalidate(2)
            assert double(2) == 4
            assert calls == [2, 2, 2]

        await asyncio.to_thread(thread)

    both(body)


def test_a_blocked_loop_holds_no_loader_up(prefix: str) -> None:
    async def main() -> None:
        async with Cache("memory://", prefix=prefix, operation_timeout="100ms") as cache:
            found: list[Any] = []
            sync = cache.sync
            thread = threading.Thread(target=lambda: found.append(sync.get_or_set("k", lambda: "alone")))
            thread.start()
            began = time.monotonic()
            wait_until(lambda: found)  # the loop waits for this very thread
            assert time.monotonic() - began < 2
            thread.join()
            assert found == ["alone"]

    run(main())


def test_many_threads_and_tasks_load_once(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            loads: list[str] = []

            async def in_task() -> str:
                loads.append("task")
                await asyncio.sleep(0.02)
                return "value"

            def in_thread() -> str:
                loads.append("thread")
                time.sleep(0.02)
                return "value"

            for number in range(5):
                key = f"k{number}"
                callers = [asyncio.to_thread(cache.sync.get_or_set, key, in_thread) for _ in range(4)]
                values = await asyncio.gather(*callers, *(cache.get_or_set(key, in_task) for _ in range(10)))
                assert set(values) == {"value"}
            assert len(loads) == 5

    run(main())
