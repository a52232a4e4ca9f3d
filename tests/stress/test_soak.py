"""A fleet under random faults for as long as FLEETCACHE_SOAK says: nothing leaks, and all answers are right again.

A failing seed fails again: set FLEETCACHE_SOAK_SEED.
"""

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from random import Random
from typing import Any, cast

import psutil
import pytest

from fleetcache import Cache, Unavailable
from fleetcache.engine.aio.engine import AioEngine
from tests.stress.chaos import Chaos
from tests.support.engines import engines
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

SECONDS = float(os.environ.get("FLEETCACHE_SOAK", "8"))
SEED = int(os.environ.get("FLEETCACHE_SOAK_SEED", "1"))
LAPS = 4  # all must be right after each; memory is compared between the first and the last
INSTANCES, WORKERS = 3, 6
KEYS = tuple(f"k{n}" for n in range(40))
TAGS = ("odd", "even")
# Bytes that a lap may leave behind: caches of the interpreter, queues that keep their size.
TRACED_MORE, RESIDENT_MORE = 2_000_000, 40_000_000
RECOVERY = 20.0  # seconds: leases that were lost with a connection last ten


class LoadError(Exception):
    """The error that a loader raises now and then; no other one may reach a caller."""


class Soak:
    """One fleet on one server, the truth behind it, and the failures."""

    def __init__(self, caches: list[Cache], random: Random) -> None:
        self.caches, self.random = caches, random
        self.versions = dict.fromkeys(KEYS, 0)
        self.owned: dict[str, int] = {}
        self.calls = 0
        self.wrong: list[str] = []

    async def load(self, key: str) -> int:
        """Read the version at once and return it later; or raise."""
        version = self.versions[key]
        await asyncio.sleep(self.random.choice((0, 0.001, 0.01, 0.05)))
        if self.random.random() < 0.03:
            raise LoadError(key)
        return version

    async def read(self, cache: Cache, key: str) -> int:
        """Read the key, or load it with a tag; one time in three with a time to be stale."""
        tag = TAGS[int(key[1:]) % 2]
        stale = self.random.choice((0, 0, 0.2))
        value: int = await cache.get_or_set(key, lambda: self.load(key), tags=(tag,), ttl=5, stale=stale, type=int)
        return value

    async def one(self, cache: Cache, owned: str) -> None:
        """Use a cache once at random."""
        key, dice = self.random.choice(KEYS), self.random.random()
        self.calls += 1
        if dice < 0.5:
            await self.read(cache, key)
        elif dice < 0.6:
            await self._read_and_leave(cache, key)
        elif dice < 0.7:
            await self._remove(cache, key)
        elif dice < 0.75:
            await self._invalidate(cache)
        elif dice < 0.85:
            self.owned[owned] = self.calls
            await cache.set(owned, self.calls, type=int)
        elif dice < 0.9:
            first = self.random.randrange(2)
            keys = self.random.sample(KEYS[first::2], 5)
            await cache.get_or_set_many(keys, self._load_many, tags=(TAGS[first],), type=int)
        elif dice < 0.95:
            await cache.get_many(self.random.sample(KEYS, 5), type=int)
        else:
            await self._count(cache)

    async def _load_many(self, keys: list[str]) -> dict[str, int]:
        versions = {key: self.versions[key] for key in keys}
        await asyncio.sleep(0.002)
        return versions

    async def _read_and_leave(self, cache: Cache, key: str) -> None:
        task = asyncio.create_task(self.read(cache, key))
        await asyncio.sleep(self.random.choice((0, 0, 0.001, 0.01)))
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), LoadError):
            raise AssertionError from task.exception()

    async def _remove(self, cache: Cache, key: str) -> None:
        self.versions[key] += 1
        wanted = self.versions[key]
        await cache.delete(key)
        if await self.read(cache, key) < wanted:
            self.wrong.append(f"{key} was removed and seen again by who removed it, {cache!r}")

    async def _invalidate(self, cache: Cache) -> None:
        tag = self.random.choice(TAGS)
        for key in KEYS:
            self.versions[key] += TAGS[int(key[1:]) % 2] == tag
        await cache.invalidate_tags(tag)

    async def _count(self, cache: Cache) -> None:
        with suppress(Unavailable):  # as promised: the cache does not guess
            await cache.incr("counter")

    async def lap(self, chaos: Chaos, seconds: float) -> None:
        """Run faults for a while; afterwards every answer must be right."""
        stop = asyncio.Event()

        async def work(cache: Cache, owned: str) -> None:
            while not stop.is_set():
                with suppress(LoadError):
                    await self.one(cache, owned)
                await asyncio.sleep(self.random.choice((0, 0.001, 0.005)))

        tasks = [asyncio.create_task(chaos.run(stop))]
        for number, cache in enumerate(self.caches):
            tasks += [asyncio.create_task(work(cache, f"own{number}.{each}")) for each in range(WORKERS)]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        stop.set()
        await asyncio.gather(*tasks)
        await self.settle()

    async def settle(self) -> None:
        """Wait until all are online with nothing pending or in progress, and check every instance's answers."""
        await eventually(lambda: all(_is_at_rest(cache) for cache in self.caches), timeout=RECOVERY)
        for cache in self.caches:
            await cache.get("nothing")
        for cache in self.caches:
            for key, version in self.versions.items():
                found = await self._read_at_last(cache, key)
                if found != version:
                    self.wrong.append(f"{key} is {version}, and {cache!r} answers {found}")
            for key, last in self.owned.items():
                if await cache.get(key, last, type=int) != last:
                    self.wrong.append(f"{key} was set to {last} in the end, and {cache!r} answers another")
        await eventually(lambda: all(_is_at_rest(cache) for cache in self.caches))

    async def _read_at_last(self, cache: Cache, key: str) -> int:
        while True:
            try:
                return await self.read(cache, key)
            except LoadError:
                continue


def _is_at_rest(cache: Cache) -> bool:
    stats, coherence = cache.stats(), cache._engine.coherence
    tasks = cast("AioEngine", cache._engine)._on_loop._tasks
    idle = not stats.flights and not stats.waiters and not coherence._tokens and not tasks
    return stats.link == "online" and stats.journal == 0 and idle


@pytest.fixture
def places() -> Iterator[list[tuple[Server, Proxy]]]:
    """A server of each engine, and the proxy to it."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(engine)) for engine in engines()]
        yield [(server, stack.enter_context(Proxy(server))) for server in servers]


@pytest.fixture
def traced() -> Iterator[None]:
    """Trace Python's own memory."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def _memory() -> tuple[int, int]:
    gc.collect()
    return tracemalloc.get_traced_memory()[0], psutil.Process().memory_info().rss


@asynccontextmanager
async def _fleet(proxy: Proxy, prefix: str) -> AsyncIterator[list[Cache]]:
    async with AsyncExitStack() as stack:
        settings: dict[str, Any] = {"operation_timeout": 0.1, "connect_timeout": 0.5, "max_staleness": 0.4}
        settings |= {"offline_ttl": 1, "load_wait": 2, "near_max_items": 30}
        yield [await stack.enter_async_context(Cache(proxy.url, prefix=prefix, **settings)) for _ in range(INSTANCES)]


@pytest.mark.usefixtures("traced")
@pytest.mark.timeout(2 * SECONDS + 120)
def test_random_faults_leave_nothing_behind(places: list[tuple[Server, Proxy]], prefix: str) -> None:
    run(_soak(places, prefix))


async def _soak(places: list[tuple[Server, Proxy]], prefix: str) -> None:
    process = psutil.Process()
    await asyncio.to_thread(_memory)  # starts the thread pool
    files = process.num_fds()
    memories = []
    async with AsyncExitStack() as stack:
        soaks = [
            (Soak(await stack.enter_async_context(_fleet(proxy, prefix)), Random(SEED + n)), server, proxy)
            for n, (server, proxy) in enumerate(places)
        ]
        chaos = [Chaos(server, proxy, Random(SEED * 1000 + n)) for n, (_, server, proxy) in enumerate(soaks)]
        began = time.monotonic()
        for lap in range(LAPS):
            left = max(0.5, SECONDS - (time.monotonic() - began)) / (LAPS - lap)
            await asyncio.gather(*(soak.lap(each, left) for (soak, _, _), each in zip(soaks, chaos, strict=True)))
            memories.append(_memory())
            told = f"seed {SEED}, lap {lap + 1}, faults {[each.done for each in chaos]}"
            assert [soak.wrong for soak, _, _ in soaks] == [[]] * len(soaks), told
        assert sum(soak.calls for soak, _, _ in soaks) > 20 * SECONDS
    await eventually(lambda: process.num_fds() <= files)
    (traced, resident), (traced_last, resident_last) = memories[0], memories[-1]
    assert traced_last - traced < TRACED_MORE
    assert resident_last - resident < RESIDENT_MORE
