"""Hits in the memory of this process: ``get``, a decorated function, ``peek``."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.figures import Effort, Figures, Row
from benchmarks.floors import BASE, floors, told
from benchmarks.peers import NEAR, opened
from benchmarks.rounds import Subject, alternate, awaiting, calling
from fleetcache import Cache

KEY = "user:42"
VALUE = "x" * 100

_MICRO = 1e6


async def get(url: str, effort: Effort) -> Figures:
    """``await cache.get(key)`` beside a coroutine that does nothing but look into a dict."""
    plain = {KEY: VALUE}

    async def look_up(key: str) -> str | None:
        return plain.get(key)

    async with Cache(url, prefix="bench-get") as cache, opened(NEAR, url) as peers:
        await cache.set(KEY, VALUE)
        for name in peers.running:
            await peers.put(name, {KEY: VALUE})
        assert await cache.get(KEY) == VALUE
        subjects = {name: awaiting(peer.get, KEY) for name, peer in peers.running.items()}
        subjects |= {"ours": awaiting(cache.get, KEY), "dict.get": awaiting(look_up, KEY)}
        found = await _measured(subjects, effort)
        assert cache.stats().shared_hits <= 1, "a hit was not near"
    return Figures.of(found, "dict.get", peers.missing)


async def decorated(url: str, effort: Effort) -> Figures:
    """A decorated function's near hit beside ``cache.get``'s."""
    async with Cache(url, prefix="bench-decorated") as cache, opened(NEAR, url) as peers:

        @cache.cached(ttl="1h")
        async def ours(number: int) -> str:  # noqa: ARG001 - the key
            return VALUE

        async def theirs(number: int) -> str:  # noqa: ARG001 - as above
            return VALUE

        await cache.set(KEY, VALUE)
        functions: dict[str, Callable[[int], Any]] = {"ours": ours}
        functions |= {name: peer.decorate(theirs) for name, peer in peers.running.items() if peer.decorate}
        for function in functions.values():
            assert await function(42) == VALUE
        subjects = {name: awaiting(function, 42) for name, function in functions.items()}
        found = await _measured({**subjects, "cache.get": awaiting(cache.get, KEY)}, effort)
        assert cache.stats().loads == 1, "a hit was none"
    return Figures.of(found, "cache.get", peers.missing)


async def peek(url: str, effort: Effort) -> Figures:
    """``cache.peek(key)`` beside ``dict.get``."""
    subjects, missing = floors(KEY, VALUE), {}
    try:
        from cachetools import TTLCache  # noqa: PLC0415 - only when measured
    except ImportError as error:
        missing["cachetools"] = f"cannot be imported: {error}"
    else:
        store: Any = TTLCache(maxsize=10_000, ttl=3600)
        store[KEY] = VALUE
        subjects["cachetools"] = calling(store.get, KEY)
    async with Cache(url, prefix="bench-peek") as cache:
        await cache.set(KEY, VALUE)
        assert await cache.get(KEY) == cache.peek(KEY) == VALUE
        subjects["ours"] = calling(cache.peek, KEY)
        found = await _measured(subjects, effort)
        assert cache.peek(KEY) == VALUE, "near was not trusted any more"
    return replace(Figures.of(found, BASE, missing), note=told(found))


async def _measured(subjects: dict[str, Subject], effort: Effort) -> dict[str, list[float]]:
    seconds = await alternate(subjects, effort)
    return {name: [value * _MICRO for value in values] for name, values in seconds.items()}


ROWS = (
    Row("get", "`await cache.get`, near hit, 100-byte str", "awaited `dict.get`", "µs", 2.5, get),
    Row("decorated", "decorated near hit", "`await cache.get`", "µs", 2, decorated),
    Row("peek", "`cache.peek`, near hit", "`dict.get`", "µs", 4, peek),
)
