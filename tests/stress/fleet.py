"""Several caches that read, load and remove the same few keys at random, and a check of the truth when all is quiet."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from fleetcache import Cache
from tests.support.servers import Server

__all__ = ["PATIENCE", "Read", "Tally", "World", "Write", "fleet", "stress"]

PATIENCE = 60.0  # seconds until a naive variant goes wrong; one or two, more on a busy machine


@dataclass
class World:
    """The database behind the caches: the newest version of each key, and all random choices."""

    keys: tuple[str, ...]
    random: Random = field(default_factory=lambda: Random(7))
    versions: dict[str, int] = field(default_factory=dict)
    loads: int = 0

    def __post_init__(self) -> None:
        self.versions = dict.fromkeys(self.keys, 0)

    def pick(self) -> str:
        """Return one of the keys."""
        return self.random.choice(self.keys)

    async def pause(self, *seconds: float) -> None:
        """Sleep for one of these times, in seconds."""
        await asyncio.sleep(self.random.choice(seconds))

    async def load(self, key: str) -> int:
        """Read the version at once and return it late: a removal must beat such a load."""
        version = self.versions[key]
        await self.pause(0, 0.001, 0.003, 0.01)
        self.loads += 1
        return version


@dataclass
class Tally:
    """The number of checks, and of superseded values among them."""

    checks: int = 0
    wrong: int = 0

    def check(self, right: bool) -> None:
        """Count one check."""
        self.checks += 1
        self.wrong += not right


Read = Callable[[Cache, str], Awaitable[int]]
Write = Callable[[Cache, Tally], Awaitable[None]]


@asynccontextmanager
async def fleet(server: Server, prefix: str, count: int) -> AsyncIterator[list[Cache]]:
    """Yield this many instances on one server."""
    async with AsyncExitStack() as stack:
        caches = [Cache(server.url, prefix=prefix, operation_timeout="5s", max_staleness="10s") for _ in range(count)]
        for cache in caches:
            await stack.enter_async_context(cache)
        yield caches


async def stress(
    caches: list[Cache], world: World, read: Read, write: Write, *, seconds: float, until_wrong: bool = False
) -> Tally:
    """Run rounds of unrest; after each, check every instance's answer for every key.

    Args:
        caches: The instances.
        world: The truth.
        read: Reads or loads a key.
        write: Changes a key: first in the world, then in a cache.
        seconds: The time of the whole run.
        until_wrong: True if one wrong answer is enough.
    """
    tally = Tally()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (until_wrong and tally.wrong):
        await _unrest(caches, world, read, write, tally)
        for cache in caches:
            await cache.get("nothing")  # replies come in order: every push has arrived
        for key in world.keys:
            for cache in caches:
                tally.check(cache.peek(key, world.versions[key]) == world.versions[key])
                tally.check(await read(cache, key) == world.versions[key])
    return tally


async def _unrest(caches: list[Cache], world: World, read: Read, write: Write, tally: Tally) -> None:
    stop = asyncio.Event()

    async def reader(cache: Cache) -> None:
        while not stop.is_set():
            await read(cache, world.pick())
            await world.pause(0, 0, 0.001)

    async def writer(cache: Cache) -> None:
        for _ in range(world.random.randint(1, 6)):
            await write(cache, tally)
            await world.pause(0, 0.001, 0.004)

    readers = [asyncio.create_task(reader(cache)) for cache in caches for _ in range(2)]
    await asyncio.gather(*(writer(world.random.choice(caches)) for _ in range(2)))
    await asyncio.sleep(0.02)  # longer than a load: some begin after the last change, and all must be right
    stop.set()
    await asyncio.gather(*readers)
