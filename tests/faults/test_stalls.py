"""A server that stops for a moment longer than one operation may take: no stampede, and no call longer than two.

The server has the values all the time. Its pause is that of a slow command or of a fork: ``CLIENT PAUSE``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.policy.batch_load import BatchLoad
from fleetcache.policy.waits import Waits
from tests.conftest import StartServer
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.threaded import threaded
from tests.support.waiting import eventually

# Of one operation, in seconds. Longer than usual, so that a busy machine is in time.
TIMEOUT = 0.9
INSTANCES = 5
FACES = {"Cache": Cache, "SyncCache": threaded, "SyncCache.aio": tasked}


class Loads:
    """Loaders that count their calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.began: Callable[[], object] = lambda: None

    async def one(self) -> str:
        self.calls += 1
        self.began()
        return "v"

    async def many(self, keys: list[str]) -> dict[str, str]:
        self.calls += 1
        self.began()
        return dict.fromkeys(keys, "v")


Ask = Callable[[Any, Loads], Awaitable[object]]
ASKS: dict[str, Ask] = {
    "get_or_set": lambda cache, load: cache.get_or_set("k", load.one),
    "get_or_set, with tags": lambda cache, load: cache.get_or_set("tagged", load.one, tags=("t",)),
    "get_or_set_many": lambda cache, load: cache.get_or_set_many(["k", "tagged"], load.many),
    "namespace": lambda cache, load: cache.namespace("n").get_or_set("k", load.one),
}


async def _stalled(
    server: Server, prefix: str, make: Callable[..., Any], ask: Ask, *, goes_on: bool = True
) -> tuple[int, float]:
    """Return the loads of a fleet whose server stops, and the seconds of the shortest call.

    Args:
        server: A server that the test may freeze.
        prefix: The prefix of the caches.
        make: Makes a cache of one face.
        ask: The call of each instance.
        goes_on: Whether the server goes on as soon as all instances know that it is late; else it stops for all calls.
    """
    load, took = Loads(), []
    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "20s"}

    async def asks(cache: Any) -> None:
        began = time.perf_counter()
        await ask(cache, load)
        took.append(time.perf_counter() - began)

    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Cache(server.url, prefix=prefix, operation_timeout="5s"))
        await writer.set("k", "v", strict=True)
        await writer.set("tagged", "v", tags=("t",), strict=True)
        await writer.namespace("n").set("k", "v", strict=True)
        caches = [await stack.enter_async_context(make(server.url, **settings)) for _ in range(INSTANCES)]
        await eventually(lambda: all(cache.stats().link == "online" for cache in caches))
        server.freeze()
        try:
            calls = [asyncio.create_task(asks(cache)) for cache in caches]
            await eventually(lambda: all(cache.stats().link == "suspect" for cache in caches))
            if not goes_on:
                await asyncio.gather(*calls)
        finally:
            server.thaw()
        await asyncio.gather(*calls)
        return load.calls, min(took)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("face", FACES)
def test_a_stall_of_less_than_two_timeouts_costs_no_load(
    face: str, ask: str, one_fresh_server: StartServer, prefix: str
) -> None:
    assert run(_stalled(one_fresh_server(), prefix, FACES[face], ASKS[ask]))[0] == 0


@pytest.mark.parametrize("many", [False, True])
def test_a_load_beside_another_is_held_back_too(one_fresh_server: StartServer, prefix: str, *, many: bool) -> None:
    """The server stops after it has told of the other load, and does not answer the request for a second one."""

    async def main() -> None:
        server, began, load = one_fresh_server(), list[float](), Loads()
        settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "20s"}
        async with Cache(server.url, load_wait="200ms", **settings) as cache:
            with server.client() as raw:
                raw("SET", f"{prefix}:e:k", b"L" + bytes(16), "PX", 60_000)
            engine = cache._engine
            overtime: Any = engine.policy.loading.overtime
            take = overtime.take

            async def take_from_frozen(*args: Any, **named: Any) -> Any:
                server.freeze()
                return await take(*args, **named)

            overtime.take = take_from_frozen
            load.began = lambda: began.append(engine.clock())
            call: Any = cache.get_or_set_many(["k"], load.many) if many else cache.get_or_set("k", load.one)
            asked = asyncio.create_task(call)
            try:
                await eventually(lambda: cache.stats().link == "suspect")
                late = engine.link.since
                await asked
            finally:
                server.thaw()
            assert began[0] - late >= 0.9 * TIMEOUT

    run(main())


@pytest.mark.parametrize("ask", ASKS)
def test_a_task_that_runs_only_when_the_server_is_back_looks_again(
    ask: str, one_fresh_server: StartServer, prefix: str
) -> None:
    """The link lives in a thread of its own, so it is late and back while the loop of the task is busy."""
    server, load = one_fresh_server(), Loads()

    def is_busy_until(cache: Any, link: str) -> None:
        until = time.perf_counter() + 10
        while cache.stats().link != link:
            assert time.perf_counter() < until
            time.sleep(0.001)

    async def main() -> None:
        settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "20s"}
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as writer,
            tasked(server.url, **settings) as cache,
        ):
            await writer.set("k", "v", strict=True)
            await writer.set("tagged", "v", tags=("t",), strict=True)
            await writer.namespace("n").set("k", "v", strict=True)
            await eventually(lambda: cache.stats().link == "online")
            server.freeze()
            try:
                asked = asyncio.ensure_future(ASKS[ask](cache, load))
                for _ in range(10):
                    await asyncio.sleep(0)
                is_busy_until(cache, "suspect")
            finally:
                server.thaw()
            is_busy_until(cache, "online")
            await asked

    run(main())
    assert load.calls == 0


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("face", FACES)
def test_a_longer_stall_costs_one_load_a_process_after_two_timeouts(
    face: str, ask: str, one_fresh_server: StartServer, prefix: str
) -> None:
    loads, shortest = run(_stalled(one_fresh_server(), prefix, FACES[face], ASKS[ask], goes_on=False))
    assert loads == INSTANCES
    # The shortest of all calls, because a busy machine may keep one waiting.
    assert 1.8 * TIMEOUT < shortest < 2.9 * TIMEOUT


def test_a_key_that_nobody_has_is_loaded_once_after_the_stall(one_fresh_server: StartServer, prefix: str) -> None:
    """Also with the lease: the look after the wait is followed by the usual steps."""

    def ask(cache: Any, load: Loads) -> Awaitable[object]:
        asked: Awaitable[object] = cache.get_or_set("absent", load.one)
        return asked

    assert run(_stalled(one_fresh_server(), prefix, Cache, ask))[0] == 1


def test_twin_without_the_wait_each_process_loads(
    one_fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_self: Waits, _budget: Any) -> bool:
        return False

    monkeypatch.setattr(Waits, "for_server", never)
    assert run(_stalled(one_fresh_server(), prefix, Cache, ASKS["get_or_set"]))[0] == INSTANCES


# -- what else happens meanwhile -------------------------------------------------------------------------------------


async def _while_late(server: Server, prefix: str, then: Callable[[Cache, Loads, Any], Awaitable[None]]) -> Loads:
    """Let a server stop, wait until the cache takes it for late, and go on."""
    load = Loads()
    async with Cache(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness="5s") as cache:
        await cache.set("near", "v")
        await cache.set("stale", "v", ttl=0.05, stale="1m")
        await eventually(lambda: cache.peek("near") == "v")
        server.freeze()
        try:
            assert await cache.get("k") is None
            assert cache.stats().link == "suspect"
            await then(cache, load, server)
        finally:
            server.thaw()
    return load


def _took(began: float) -> float:
    return time.perf_counter() - began


def test_near_copies_answer_at_once(one_fresh_server: StartServer, prefix: str) -> None:
    async def then(cache: Cache, load: Loads, _server: Any) -> None:
        began = time.perf_counter()
        assert await cache.get_or_set("near", load.one) == "v"
        assert await cache.get("near") == "v"
        assert await cache.get_or_set_many(["near"], load.many) == {"near": "v"}
        assert _took(began) < TIMEOUT / 2

    assert run(_while_late(one_fresh_server(), prefix, then)).calls == 0


def test_a_call_that_does_not_load_waits_for_nothing(one_fresh_server: StartServer, prefix: str) -> None:
    async def then(cache: Cache, _load: Loads, _server: Any) -> None:
        began = time.perf_counter()
        assert await cache.get("k") is None
        assert await cache.get_many(["k"]) == {}
        assert await cache.delete("k") is False
        await cache.set("k", "v")
        assert _took(began) < TIMEOUT / 2

    run(_while_late(one_fresh_server(), prefix, then))


def test_calls_after_the_wait_wait_for_nothing(one_fresh_server: StartServer, prefix: str) -> None:
    async def then(cache: Cache, load: Loads, _server: Any) -> None:
        assert await cache.get_or_set("a", load.one) == "v"
        began = time.perf_counter()
        for key in "bcdef":
            assert await cache.get_or_set(key, load.one) == "v"
        assert cache.stats().link == "suspect"
        assert _took(began) < TIMEOUT / 2

    assert run(_while_late(one_fresh_server(), prefix, then)).calls == 6


def test_a_lost_connection_ends_the_wait(one_fresh_server: StartServer, prefix: str) -> None:
    async def then(cache: Cache, load: Loads, server: Server) -> None:
        asked = asyncio.create_task(cache.get_or_set("a", load.one))
        await asyncio.sleep(0)
        assert load.calls == 0
        server.kill()
        began = time.perf_counter()
        assert await asked == "v"
        assert cache.stats().link != "suspect"
        assert _took(began) < TIMEOUT / 2

    server = one_fresh_server()
    load = Loads()

    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness="5s") as cache:
            server.freeze()
            assert await cache.get("k") is None
            await then(cache, load, server)

    run(main())
    assert load.calls == 1


def test_a_background_refresh_waits_too(one_fresh_server: StartServer, prefix: str) -> None:
    server = one_fresh_server()

    async def main() -> tuple[str, int, int]:
        load = Loads()
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as writer,
            Cache(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness="20s") as cache,
        ):
            await writer.set("k", "old", ttl=0.05, stale="1m", strict=True)
            await eventually(lambda: cache.stats().link == "online")
            assert await cache.get("k", allow_stale=True) == "old"
            await asyncio.sleep(0.06)
            server.freeze()
            try:
                assert await cache.get("nothing") is None
                answer = await cache.get_or_set("k", load.one, stale="1m")
                await asyncio.sleep(0)
                early = load.calls
            finally:
                server.thaw()
            await eventually(lambda: load.calls == 1)
            await eventually(lambda: cache.peek("k") == "v")
            return answer, early, cache.stats().claims

    assert run(main()) == ("old", 0, 1)


def test_a_batch_whose_rights_are_not_answered_waits_too(
    one_fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stops after the batch has found nothing, and has the value of another instance by then."""
    load = Loads()

    async def main() -> tuple[dict[str, str], int]:
        server = one_fresh_server()
        with Proxy(server) as proxy:
            settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "20s"}
            async with Cache(server.url, prefix=prefix) as writer, Cache(proxy.url, **settings) as cache:
                ask = BatchLoad._rights

                async def stalled(self: BatchLoad, *arguments: Any) -> Any:
                    monkeypatch.setattr(BatchLoad, "_rights", ask)
                    await writer.set("k", "v of another", strict=True)
                    with proxy.frozen():
                        asked = asyncio.create_task(ask(self, *arguments))
                        await eventually(lambda: cache.stats().link == "suspect")
                    return await asked

                monkeypatch.setattr(BatchLoad, "_rights", stalled)
                return await cache.get_or_set_many(["k"], load.many), load.calls

    assert run(main()) == ({"k": "v of another"}, 0)


def test_a_batch_is_held_back_again_after_it_waited_for_its_place(one_fresh_server: StartServer, prefix: str) -> None:
    """It was held back at a first stall, and waits for its place at the second. The server has the value by then."""
    load, ended = Loads(), asyncio.Event()

    async def other() -> str:
        await ended.wait()
        return "other"

    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "20s", "max_loads": 1}

    async def main() -> tuple[dict[str, str], int]:
        server = one_fresh_server()
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as writer,
            Cache(server.url, **settings) as cache,
        ):
            first = asyncio.create_task(cache.get_or_set("other", other))
            await eventually(lambda: cache.stats().leases == 1)
            server.freeze()
            batch = asyncio.create_task(cache.get_or_set_many(["k"], load.many))
            await eventually(lambda: cache.stats().link == "suspect")
            server.thaw()
            await eventually(lambda: cache.stats().place_waits == 1)
            await writer.set("k", "v of another", strict=True)
            server.freeze()
            ended.set()
            await eventually(lambda: cache.stats().link == "suspect")
            server.thaw()
            await first
            return await batch, load.calls

    assert run(main()) == ({"k": "v of another"}, 0)


def test_a_load_that_waits_for_its_place_is_held_back_again(one_fresh_server: StartServer, prefix: str) -> None:
    """It was held back at a first stall, and waits for its place at the second. The server has the value by then."""
    load, ended = Loads(), asyncio.Event()

    async def other() -> str:
        await ended.wait()
        return "other"

    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "20s", "max_loads": 1}

    async def main() -> tuple[str, int]:
        server = one_fresh_server()
        with Proxy(server) as proxy:
            async with Cache(server.url, prefix=prefix) as writer, Cache(proxy.url, **settings) as cache:
                first = asyncio.create_task(cache.get_or_set("other", other))
                await eventually(lambda: cache.stats().leases == 1)
                with proxy.frozen():
                    asked = asyncio.create_task(cache.get_or_set("k", load.one))
                    await eventually(lambda: cache.stats().link == "suspect")
                await eventually(lambda: cache.stats().place_waits == 1)
                with proxy.frozen():
                    await writer.set("k", "v of another", strict=True)
                    assert await cache.get("nothing") is None
                    assert cache.stats().link == "suspect"
                    ended.set()
                    await first
                    for _ in range(20):
                        await asyncio.sleep(0)
                return await asked, load.calls

    assert run(main()) == ("v of another", 0)


@pytest.mark.parametrize("face", FACES)
def test_the_first_call_waits_for_the_connection_for_one_timeout_at_most(
    face: str, one_fresh_server: StartServer, prefix: str
) -> None:
    """A connection that comes at the last moment leaves the call a timeout of its own."""
    server = one_fresh_server()

    async def main() -> tuple[float, float]:
        cache = FACES[face](server.url, prefix=prefix, operation_timeout=TIMEOUT, connect_timeout="10s")
        server.freeze()
        try:
            began = time.perf_counter()
            assert await cache.get("k") is None
            first, began = _took(began), time.perf_counter()
            assert await cache.get("k") is None
            return first, _took(began)
        finally:
            server.thaw()
            await cache.close()

    first, second = run(main())
    assert 0.9 * TIMEOUT < first < 2 * TIMEOUT
    assert second < TIMEOUT / 2
