"""Calls while the server is gone, after the first that noticed it, beside the same calls on the memory driver."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benchmarks.figures import Effort, Figures, Row, shown
from benchmarks.peers import SHARED, opened
from benchmarks.rounds import Subject, alternate
from fleetcache import Cache
from tests.support.servers import Server

KEY = "user:42"
VALUE = "x" * 100

# A call gets a cache and a number that never comes twice.
Call = Callable[[Cache, int], Awaitable[Any]]

_MICRO = 1e6
_OPTIONS: dict[str, Any] = {"near_max_items": 1000, "offline_ttl": "1h"}


async def hit(cache: Cache, _number: int) -> Any:
    """Read a key that near holds."""
    return await cache.get_or_set(KEY, _load)


async def miss(cache: Cache, number: int) -> Any:
    """Read a key that is in no tier."""
    return await cache.get(f"nobody:{number}")


async def load(cache: Cache, number: int) -> Any:
    """Load a new key."""
    return await cache.get_or_set(f"new:{number}", _load)


async def _load() -> str:
    return VALUE


async def without_server(call: Call, _url: str, effort: Effort) -> Figures:
    """Measure one call after the other on a cache whose server was killed."""
    with Server("valkey") as server:
        async with Cache(server.url, prefix="bench-outage", **_OPTIONS) as cache, opened(SHARED, server.url) as peers:
            await cache.set(KEY, VALUE)
            await cache.get_or_set(KEY, _load)
            server.kill()
            await cache.get("the first call notices")
            async with Cache("memory://", **_OPTIONS) as memory:
                await memory.set(KEY, VALUE)
                subjects = {"ours": _calls(call, cache), "memory": _calls(call, memory)}
                found = await alternate(subjects, effort)
            assert (await cache.health()).shared is False
            patience = 0.5 if effort.quick else 10.0
            theirs = {name: await _second(peer.get, patience) for name, peer in peers.running.items()}
    in_micro = {name: [seconds * _MICRO for seconds in values] for name, values in found.items()}
    return Figures.of(in_micro, "memory", {**peers.missing, **theirs})


def _calls(call: Call, cache: Cache) -> Subject:
    numbers = itertools.count()

    async def run(calls: int) -> float:
        began = time.perf_counter()
        for number in itertools.islice(numbers, calls):
            await call(cache, number)
        return time.perf_counter() - began

    return run


async def _second(get: Callable[[str], Awaitable[Any]], patience: float) -> float | str:
    """Return the time of the second call to a dead server, with the peer's defaults."""
    await _one(get, patience)
    return await _one(get, patience)


async def _one(get: Callable[[str], Awaitable[Any]], patience: float) -> float | str:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(patience):
            await get(KEY)
    except TimeoutError:
        if time.perf_counter() - began >= patience:
            return f"over {patience:g} s"
        return f"raises after {shown((time.perf_counter() - began) * _MICRO, 'µs')}"
    except Exception:  # noqa: BLE001 - whatever a foreign library raises: the caller has to deal with it
        return f"raises after {shown((time.perf_counter() - began) * _MICRO, 'µs')}"
    return (time.perf_counter() - began) * _MICRO


ROWS = (
    Row(
        "outage-hit",
        "`get_or_set` during an outage, near hit",
        "memory driver",
        "µs",
        1.2,
        partial(without_server, hit),
    ),
    Row("outage-miss", "`get` during an outage, miss", "memory driver", "µs", 1.2, partial(without_server, miss)),
    Row(
        "outage-load", "`get_or_set` during an outage, load", "memory driver", "µs", 1.2, partial(without_server, load)
    ),
)
