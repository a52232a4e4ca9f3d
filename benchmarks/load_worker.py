"""One process of a fleet that asks for cold keys: reads a key from stdin, asks for it with many callers at once.

Run it as ``python -m benchmarks.load_worker LIBRARY URL FOLDER CALLERS``. Each run of a loader leaves a byte in its
key's file, which counts them for all processes.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Ask = Callable[[str], Awaitable[Any]]

# Seconds that the origin takes: long beside the start of all callers of all processes.
TAKES = 0.5


class Origin:
    """The source of the values; counts its calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def load(self, key: str) -> str:
        """Answer slowly."""
        with (self._folder / key).open("ab", buffering=0) as file:
            file.write(b".")
        await asyncio.sleep(TAKES)
        return f"value of {key}"


async def ours(url: str, origin: Origin, stack: AsyncExitStack) -> Ask:
    """A cached function of fleetcache."""
    from fleetcache import Cache  # noqa: PLC0415 - each process is one library's

    cache = await stack.enter_async_context(Cache(url, prefix="bench-load", operation_timeout="5s"))
    return cache.cached(ttl="1h", key="{key}")(origin.load)


async def cashews(url: str, origin: Origin, stack: AsyncExitStack) -> Ask:
    """cashews, with the lock that it offers for this."""
    from cashews import Cache  # noqa: PLC0415 - each process is one library's

    cache = Cache()
    cache.setup(url, client_side=True)
    await cache.init()
    stack.push_async_callback(cache.close)
    cached: Ask = cache(ttl=3600, key="load:{key}", lock=True)(origin.load)
    return cached


async def aiocache(url: str, origin: Origin, _stack: AsyncExitStack) -> Ask:
    """aiocache, with the lease that it offers for this."""
    from aiocache import Cache, cached_stampede  # noqa: PLC0415 - each process is one library's
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - as above

    where = urlsplit(url)
    cached: Ask = cached_stampede(
        lease=5,
        ttl=3600,
        cache=Cache.REDIS,
        key_builder=lambda _function, key: f"load:{key}",
        timeout=0,
        endpoint=where.hostname,
        port=where.port,
        connection_pool_class=BlockingConnectionPool,  # the usual pool raises with this many calls at once
    )(origin.load)
    return cached


LIBRARIES = {"ours": ours, "cashews": cashews, "aiocache": aiocache}


async def main(library: str, url: str, folder: str, callers: int) -> None:
    """Answer keys until the input ends."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        ask = await LIBRARIES[library](url, Origin(Path(folder)), stack)
        await ask("warm")
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            key = line.strip()
            values = await asyncio.gather(*(ask(key) for _ in range(callers)))
            assert set(values) == {f"value of {key}"}
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
