"""The memory that near needs for an entry of 100 bytes, beside the value itself."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.figures import NOTHING, Effort, Figures, Row
from benchmarks.peers import why
from fleetcache import Cache

Put = Callable[[str, str], Awaitable[Any]]

_VALUE = "{:0100d}"
_TTL = 3600


async def per_entry(_url: str, effort: Effort) -> Figures:
    """Bytes by tracemalloc per entry, with the key's own 60, without the value's."""
    count = 1_000 if effort.quick else 20_000
    async with Cache("memory://", near_max_items=count, near_max_bytes=count * 1000) as cache:
        ours = await _spent(count, cache.set)
        assert cache.stats().near_items == count, "near did not hold all of them"
    peers: dict[str, float | str] = {}
    for name, opener in {"cashews": _cashews, "aiocache": _aiocache, "cachetools": _cachetools}.items():
        try:
            peers[name] = await _spent(count, opener(count))
        except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is why it is not in the table
            peers[name] = why(error)
    return Figures(ours, None, ours, peers)


async def _spent(count: int, put: Put) -> float:
    for number in range(100):
        await put(f"key:{number:06d}", _VALUE.format(number))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(100, count):
            await put(f"key:{number:06d}", _VALUE.format(number))
        await asyncio.sleep(0)
        gc.collect()
        spent, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return spent / (count - 100) - sys.getsizeof(_VALUE.format(0))


def _cashews(count: int) -> Put:
    from cashews.backends.memory import Memory  # noqa: PLC0415 - only when measured

    store = Memory(size=count)
    return lambda key, value: store.set(key, value, expire=_TTL)


def _aiocache(_count: int) -> Put:
    from aiocache import SimpleMemoryCache  # noqa: PLC0415 - only when measured

    store = SimpleMemoryCache()
    return lambda key, value: store.set(key, value, ttl=_TTL)


def _cachetools(count: int) -> Put:
    from cachetools import TTLCache  # noqa: PLC0415 - only when measured

    store: Any = TTLCache(maxsize=count, ttl=_TTL)

    async def put(key: str, value: str) -> None:
        store[key] = value

    return put


ROWS = (Row("memory", "near memory per 100-byte entry, over the value", NOTHING, "bytes", 350, per_entry, plain=True),)
