"""A server that stops for a moment longer than one operation may take: no stampede, and no call longer than two.

The server has the values all the time. Its pause is that of a slow command or of a fork: ``CLIENT PAUSE``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.policy.waits import Waits
from tests.conftest import StartServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.threaded import threaded
from tests.support.timing import kept_waiting
from tests.support.waiting import eventually

# Of one operation, in seconds. Longer than usual, so that a busy machine is in time.
TIMEOUT = 0.6
SHORT, NEARLY_TWO, LONG = round(1600 * TIMEOUT), round(1800 * TIMEOUT), round(2600 * TIMEOUT)  # ms
INSTANCES = 5
FACES = {"Cache": Cache, "SyncCache": threaded, "SyncCache.aio": tasked}


class Loads:
    """Loaders that count their calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def one(self) -> str:
        self.calls += 1
        return "v"

    async def many(self, keys: list[str]) -> dict[str, str]:
        self.calls += 1
        return dict.fromkeys(keys, "v")


Ask = Callable[[Any, Loads], Awaitable[object]]
ASKS: dict[str, Ask] = {
    "get_or_set": lambda cache, load: cache.get_or_set("k", load.one),
    "get_or_set, with tags": lambda cache, load: cache.get_or_set("tagged", load.one, tags=("t",)),
    "get_or_set_many": lambda cache, load: cache.get_or_set_many(["k", "tagged"], load.many),
    "namespace": lambda cache, load: cache.namespace("n").get_or_set("k", load.one),
}


async def _stalled(
    server: Server, prefix: str, make: Callable[..., Any], pause: int, ask: Ask, *, instances: int = INSTANCES
) -> tuple[int, float]:
    """Return the loads of a fleet whose server pauses, and the seconds of the longest call."""
    load, took = Loads(), []
    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": TIMEOUT, "max_staleness": "5s"}

    async def asks(cache: Any) -> None:
        began = time.perf_counter()
        await ask(cache, load)
        took.append(time.perf_counter() - began)

    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Cache(server.url, prefix=prefix, operation_timeout="5s"))
        await writer.set("k", "v", strict=True)
        await writer.set("tagged", "v", tags=("t",), strict=True)
        await writer.namespace("n").set("k", "v", strict=True)
        caches = [await stack.enter_async_context(make(server.url, **settings)) for _ in range(instances)]
        for cache in caches:
            await eventually(partial(_is_online, cache))
        with server.client() as admin:
            admin("CLIENT", "PAUSE", pause, "ALL")
        waited = kept_waiting()
        await asyncio.gather(*map(asks, caches))
        return load.calls, max(took) - (kept_waiting() - waited)


def _is_online(cache: Any) -> bool:
    return bool(cache.stats().link == "online")


@pytest.fixture
def server(one_fresh_server: StartServer) -> Server:
    """A server that ends its pauses in time: by default it looks ten times a second."""
    return one_fresh_server("tcp", "--hz", "500")


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("face", FACES)
def test_a_stall_of_less_than_two_timeouts_costs_no_load(face: str, ask: str, server: Server, prefix: str) -> None:
    loads, longest = run(_stalled(server, prefix, FACES[face], SHORT, ASKS[ask]))
    assert loads == 0
    assert longest < 2.2 * TIMEOUT


@pytest.mark.parametrize("face", FACES)
def test_nor_does_a_stall_of_nearly_two_timeouts(face: str, server: Server, prefix: str) -> None:
    assert run(_stalled(server, prefix, FACES[face], NEARLY_TWO, ASKS["get_or_set"]))[0] == 0


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("face", FACES)
def test_a_longer_stall_costs_one_load_a_process_after_two_timeouts(
    face: str, ask: str, server: Server, prefix: str
) -> None:
    loads, longest = run(_stalled(server, prefix, FACES[face], LONG, ASKS[ask]))
    assert loads == INSTANCES
    assert 1.5 * TIMEOUT < longest < 2.2 * TIMEOUT


def test_twin_without_the_wait_each_process_loads(server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_self: Waits, _budget: Any) -> bool:
        return False

    monkeypatch.setattr(Waits, "for_server", never)
    assert run(_stalled(server, prefix, Cache, SHORT, ASKS["get_or_set"]))[0] == INSTANCES


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


def test_a_background_refresh_waits_too(server: Server, prefix: str) -> None:
    async def main() -> tuple[str, int, int]:
        load = Loads()
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as writer,
            Cache(server.url, prefix=prefix, operation_timeout=TIMEOUT, max_staleness="5s") as cache,
        ):
            await writer.set("k", "old", ttl=0.05, stale="1m", strict=True)
            assert await cache.get("k", allow_stale=True) == "old"
            await asyncio.sleep(0.06)
            with server.client() as admin:
                admin("CLIENT", "PAUSE", SHORT, "ALL")
            assert await cache.get("nothing") is None
            answer = await cache.get_or_set("k", load.one, stale="1m")
            await asyncio.sleep(0)
            early = load.calls
            await eventually(lambda: load.calls == 1)
            await eventually(lambda: cache.peek("k") == "v")
            return answer, early, cache.stats().leases + cache.stats().claims

    assert run(main()) == ("old", 0, 1)


def test_a_key_that_nobody_has_is_loaded_once_after_the_stall(server: Server, prefix: str) -> None:
    """Also with the lease: the look after the wait is followed by the usual steps."""
    loads, _ = run(_stalled(server, prefix, Cache, SHORT, lambda cache, load: cache.get_or_set("absent", load.one)))
    assert loads == 1
