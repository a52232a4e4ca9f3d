"""The peers, each opened as in its own documentation. A missing peer is named with the reason.

They are imported when they are opened, so that a peer that is not measured need not be installed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.bare import connect

__all__ = ["BUSY", "FLOOR", "NEAR", "SHARED", "Opened", "Peer", "opened", "why"]

TTL = 3600  # seconds; nothing expires during a run


@dataclass(frozen=True)
class Peer:
    """A peer's own bound methods, for a benchmark to call: no layer of ours is measured with them."""

    get: Callable[[str], Awaitable[Any]]
    put: Callable[[str, str], Awaitable[Any]]
    decorate: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Opened:
    """The running peers, and for each missing one the reason."""

    running: Mapping[str, Peer]
    missing: Mapping[str, str]

    async def put(self, name: str, items: Mapping[str, str]) -> None:
        """Store items with a running peer."""
        for key, value in items.items():
            await self.running[name].put(key, value)


Opener = Callable[[str, AsyncExitStack], Awaitable[Peer]]


async def _cashews_near(url: str, stack: AsyncExitStack) -> Peer:
    """Its client-side cache: the only peer here whose near copies hear of changes, as ours do."""
    return await _cashews(url, stack, client_side=True)


async def _cashews(url: str, stack: AsyncExitStack, **options: Any) -> Peer:
    from cashews import Cache  # noqa: PLC0415 - only when measured

    cache = Cache()
    cache.setup(url, **options)
    await cache.init()
    stack.push_async_callback(cache.close)
    return Peer(
        cache.get,
        lambda key, value: cache.set(key, value, expire=TTL),
        cache(ttl=TTL, key="decorated:{number}"),
    )


async def _aiocache_near(_url: str, _stack: AsyncExitStack) -> Peer:
    from aiocache import SimpleMemoryCache, cached  # noqa: PLC0415 - only when measured

    cache = SimpleMemoryCache()
    return Peer(cache.get, lambda key, value: cache.set(key, value, ttl=TTL), cached(ttl=TTL))


async def _aiocache(url: str, stack: AsyncExitStack, **options: Any) -> Peer:
    from aiocache import RedisCache  # noqa: PLC0415 - only when measured

    where = urlsplit(url)
    cache = RedisCache(endpoint=where.hostname, port=where.port, **options)
    stack.push_async_callback(cache.close)
    return Peer(cache.get, lambda key, value: cache.set(key, value, ttl=TTL))


async def _aiocache_busy(url: str, stack: AsyncExitStack) -> Peer:
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - only when measured

    return await _aiocache(url, stack, connection_pool_class=BlockingConnectionPool)


async def _redis_py(url: str, stack: AsyncExitStack) -> Peer:
    from redis.asyncio import Redis  # noqa: PLC0415 - only when measured

    client = Redis.from_url(url)
    stack.push_async_callback(client.aclose)
    return Peer(client.get, lambda key, value: client.set(key, value, ex=TTL))


async def _redis_py_busy(url: str, stack: AsyncExitStack) -> Peer:
    from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - only when measured

    client = Redis.from_pool(BlockingConnectionPool.from_url(url, timeout=None))
    stack.push_async_callback(client.aclose)
    return Peer(client.get, lambda key, value: client.set(key, value, ex=TTL))


async def _coredis(url: str, stack: AsyncExitStack) -> Peer:
    from coredis import Redis  # noqa: PLC0415 - only when measured

    client = await stack.enter_async_context(Redis.from_url(url))
    return Peer(client.get, lambda key, value: client.set(key, value, ex=TTL))


async def _glide(url: str, stack: AsyncExitStack) -> Peer:
    from glide import GlideClient, GlideClientConfiguration, NodeAddress  # noqa: PLC0415 - only when measured

    where = urlsplit(url)
    client = await GlideClient.create(GlideClientConfiguration([NodeAddress(where.hostname, where.port)]))
    stack.push_async_callback(client.close)
    return Peer(client.get, client.set)


async def _bare(url: str, stack: AsyncExitStack) -> Peer:
    """The floor instead of a peer."""
    bare = await connect(url, stack)
    return Peer(bare.get, bare.put)


NEAR: Mapping[str, Opener] = {"cashews": _cashews_near, "aiocache": _aiocache_near}
SHARED: Mapping[str, Opener] = {
    "cashews": _cashews,
    "aiocache": _aiocache,
    "redis-py": _redis_py,
    "coredis": _coredis,
    "valkey-glide": _glide,
}
FLOOR = "bare GET and PTTL"
# With hundreds of tasks redis-py's usual pool raises at its bound; this one, of 50 connections, waits.
BUSY: Mapping[str, Opener] = {
    **SHARED,
    "aiocache": _aiocache_busy,
    "redis-py": _redis_py_busy,
    FLOOR: _bare,
}


@asynccontextmanager
async def opened(openers: Mapping[str, Opener], url: str) -> AsyncIterator[Opened]:
    """Open all peers; each must answer for one key before it counts as running."""
    running, missing = {}, {}
    async with AsyncExitStack() as stack:
        for name, opener in openers.items():
            try:
                peer = await opener(url, stack)
                await peer.get("a key that is not there")
            except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is why it is not in the table
                missing[name] = why(error)
            else:
                running[name] = peer
        yield Opened(running, missing)


def why(error: Exception) -> str:
    """Return in a few words why a peer has no figure."""
    if isinstance(error, ImportError):
        return f"cannot be imported: {error}"
    return f"does not run: {type(error).__name__} {error}"[:120].strip()
