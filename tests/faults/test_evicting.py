"""A server that evicts all of its store within a load evicts the lease, too: each process still loads one at a time."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from fleetcache import Cache, LoadCycle, Stats
from fleetcache.wire.server_evictions import Turnover
from tests.conftest import StartServer
from tests.support.run import run
from tests.support.servers import Server
from tests.support.threaded import threaded
from tests.support.waiting import eventually

FACES: dict[str, Callable[..., Cache]] = {"tasks": Cache, "threads": threaded}
TAKES = 0.3


class Counted:
    """A loader that counts its calls, and the most that ran at once.

    Args:
        takes: Ends when a load ends.
    """

    def __init__(self, takes: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(TAKES)) -> None:
        self.takes = takes
        self.now = self.most = self.calls = 0

    async def load(self) -> str:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.takes()
        finally:
            self.now -= 1
        return f"value {self.calls}"

    async def load_many(self, keys: list[str]) -> dict[str, str]:
        return dict.fromkeys(keys, await self.load())


@contextmanager
def turned_over(server: Server) -> Iterator[None]:
    """Let another client write so much that no key stays for long."""
    over = threading.Event()

    def write() -> None:
        filling = os.urandom(20_000)
        n = 0
        with server.client() as client:
            while not over.is_set():
                client.pipeline(*(("SET", f"foreign:{n + i}", filling) for i in range(50)))
                n += 50
                time.sleep(0.02)  # a few dozen milliseconds for all of the store

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


async def found_out(cache: Cache) -> None:
    """Load until the cache knows that the server evicts."""
    warming = Counted()

    async def knows() -> bool:
        await cache.get_or_set(f"warm {warming.calls}", warming.load)
        return (await cache.health()).reason == "evicting"

    await eventually(knows, 30)


Ask = Callable[[Cache, Counted], Awaitable[object]]
ASKS: dict[str, Ask] = {
    "get_or_set": lambda cache, origin: cache.get_or_set("k", origin.load, ttl="1m"),
    "refresh": lambda cache, origin: cache.refresh("k", origin.load, ttl="1m"),
    "get_or_set_many": lambda cache, origin: cache.get_or_set_many(["k"], origin.load_many, ttl="1m"),
}


async def crowd(cache: Cache, ask: Ask, origin: Counted) -> Counted:
    """Let callers ask, three within one load. Each of them loads, because no value stays on the server for the next."""
    callers = []
    for _ in range(6):
        callers.append(asyncio.ensure_future(_held(ask(cache, origin))))
        await asyncio.sleep(TAKES / 3)
    answers = await asyncio.gather(*callers)
    assert all("value" in str(answer) for answer in answers)
    return origin


async def _held(asked: Awaitable[object]) -> object:
    return await asked


def evicting(start: StartServer, policy: str) -> Server:
    return start("tcp", "--maxmemory", "4mb", "--maxmemory-policy", policy)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("face", FACES)
def test_one_loads_at_a_time_in_a_process(fresh_server: StartServer, prefix: str, face: str, ask: Ask) -> None:
    async def main() -> Counted:
        with turned_over(server):
            async with FACES[face](server.url, prefix=prefix, operation_timeout="5s", connect_timeout="20s") as cache:
                await found_out(cache)
                assert cache.status_now().status == "healthy"
                origin = Counted()
                for _ in range(10):  # a busy machine turns the store over more slowly
                    await crowd(cache, ask, origin)
                    if origin.calls > 1:
                        break
                return origin

    server = evicting(fresh_server, "allkeys-lru")
    origin = run(main())
    assert origin.most == 1
    assert origin.calls > 1, "the lease stayed: the test sees nothing"


def test_twin_who_does_not_look_whether_the_server_evicts_loads_beside_himself(
    fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> Counted:
        origin: Counted

        async def until_two_run() -> None:
            with suppress(AssertionError):
                await eventually(lambda: origin.most > 1, 10)

        with turned_over(server):
            async with Cache(server.url, prefix=prefix, operation_timeout="5s", connect_timeout="20s") as cache:
                origin = Counted(until_two_run)
                return await crowd(cache, ASKS["get_or_set"], origin)

    server = evicting(fresh_server, "allkeys-random")
    monkeypatch.setattr(Turnover, "is_due", lambda _self: False)
    assert run(main()).most > 1


LOAD_WAIT = 1.0  # seconds
LONGER = 3.0  # for another process to store in time on a busy machine


@pytest.fixture
def says_evicting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no count of the server replace what a test says of it."""
    monkeypatch.setattr(Turnover, "is_due", lambda _self: False)


async def _behind_a_hung_load(
    start: StartServer, prefix: str, ask: Ask, face: str, *, stored: bool = False, stalls: int = 0
) -> tuple[object, Counted, Stats]:
    """Return the answer of a caller that waited for a hung load of its process in vain, and its loads.

    Args:
        start: Starts a server. The right of the hung load is removed there, as an eviction does.
        prefix: The prefix of the caches.
        ask: How the caller asks.
        face: The face of its cache.
        stored: Whether another process stores the value meanwhile.
        stalls: Whether the server is late when the caller has waited for long enough; 2: also when it asks first.
    """
    origin, ends, server = Counted(), asyncio.Event(), start("tcp")

    async def hang() -> str:
        await ends.wait()
        return "late"

    settings: dict[str, Any] = {
        "prefix": prefix,
        "load_wait": LONGER if stored else LOAD_WAIT,
        "max_staleness": "20s",
        "max_loads": 2,
        "operation_timeout": "1s" if stalls else "5s",  # a busy machine has this long to notice a stall and to end it
    }
    async with (
        Cache(server.url, prefix=prefix, operation_timeout="5s") as other,
        FACES[face](server.url, **settings) as cache,
    ):
        first = asyncio.ensure_future(_held(cache.get_or_set("k", hang)))
        await eventually(lambda: cache.stats().leases == 1)
        await other.delete("k", strict=True)
        await eventually(lambda: cache._engine.flights.get("k") is None)
        cache._engine.coherence.turnover.evicting = True
        if stalls > 1:
            server.freeze()
        asked = asyncio.ensure_future(_held(ask(cache, origin)))
        if stalls > 1:
            await eventually(lambda: cache.stats().link == "suspect")
            server.thaw()
        await eventually(lambda: any(flight.waiters == 2 for flight in cache._engine.flights.active()))
        if stored:
            await other.set("k", "value of another", strict=True)
        if stalls:
            server.freeze()
            await eventually(lambda: cache.stats().link == "suspect" or asked.done(), 20)
            server.thaw()
        answer, stats = await asyncio.wait_for(asked, 10), cache.stats()
        ends.set()
        await first
        return answer, origin, stats


@pytest.mark.usefixtures("says_evicting")
@pytest.mark.parametrize("stalls", range(3), ids=["at once", "late", "late twice"])
@pytest.mark.parametrize("ask", [ASKS["get_or_set"], ASKS["get_or_set_many"]], ids=["get_or_set", "get_or_set_many"])
@pytest.mark.parametrize("face", FACES)
def test_who_waited_for_a_hung_load_in_vain_asks_the_server_before_it_loads(
    one_fresh_server: StartServer, prefix: str, face: str, ask: Ask, stalls: int
) -> None:
    waited = _behind_a_hung_load(one_fresh_server, prefix, ask, face, stored=True, stalls=stalls)
    answer, origin, _ = run(waited)
    assert ("value of another" in str(answer), origin.calls) == (True, 0)


@pytest.mark.usefixtures("says_evicting")
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("face", FACES)
def test_who_waited_for_a_hung_load_in_vain_loads_and_stores(
    one_fresh_server: StartServer, prefix: str, face: str, ask: Ask
) -> None:
    waited = _behind_a_hung_load(one_fresh_server, prefix, ask, face)
    answer, origin, stats = run(waited)
    assert ("value 1" in str(answer), origin.calls) == (True, 1)
    assert stats.leases == 2


def test_a_loader_that_asks_for_its_own_key_is_told_so_still(fresh_server: StartServer, prefix: str) -> None:
    """A caller may no longer join its first load, but its second would wait for it."""

    async def main() -> None:
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            turnover = cache._engine.coherence.turnover

            async def load() -> str:
                with server.client() as client:
                    assert client("DEL", cache._engine.layout.entry("k")) == 1  # as an eviction does: the lease is gone
                await eventually(lambda: cache._engine.flights.get("k") is None)
                turnover.evicting = True
                return await cache.get_or_set("k", load)

            with pytest.raises(LoadCycle):
                await cache.get_or_set("k", load)

    server = fresh_server("tcp")
    run(main())


def test_two_refreshes_that_waited_for_an_ill_source_load_one_after_another(
    fresh_server: StartServer, prefix: str
) -> None:
    """The first may load on the failed mark, and the second, which callers may join, waits for the first."""

    def failing(ends: asyncio.Event) -> Callable[[], Awaitable[str]]:
        async def load() -> str:
            await ends.wait()
            raise LookupError("the source is ill")

        return load

    async def main() -> None:
        options: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s"}
        async with Cache(server.url, **options) as cache, Cache(server.url, **options) as other:
            await other.set("k", "old", ttl="1m")
            ends = [asyncio.Event(), asyncio.Event()]
            failed = [asyncio.ensure_future(_held(other.refresh("k", failing(ends[0]))))]
            await eventually(lambda: other.stats().loads == 1)
            failed.append(asyncio.ensure_future(_held(other.refresh("k", failing(ends[1])))))
            await eventually(lambda: other.stats().waits == 1)
            ends[0].set()
            await eventually(lambda: other.stats().loads == 2)

            cache._engine.coherence.turnover.evicting = True
            origin = Counted()
            asked = [asyncio.ensure_future(_held(cache.refresh("k", origin.load, ttl="1m")))]
            await eventually(lambda: cache.stats().waits == 1)
            asked.append(asyncio.ensure_future(_held(cache.refresh("k", origin.load, ttl="1m"))))
            await asyncio.sleep(0.1)
            ends[1].set()
            assert await asyncio.gather(*asked) == ["value 1", "value 2"]
            assert origin.most == 1
            for ill in failed:
                with pytest.raises(LookupError):
                    await ill

    server = fresh_server("tcp")
    run(main())
