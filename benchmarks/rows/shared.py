"""Hits on the server, with no near store: one task, and many tasks over many keys."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.figures import Effort, Figures, Row, shown
from benchmarks.peers import BUSY, FLOOR, SHARED, Opened, opened, why
from benchmarks.rounds import alternate, awaiting, throughput
from fleetcache import Cache

Get = Callable[[str], Awaitable[Any]]

BASE = "redis-py"
VALUE = "x" * 100

_MICRO = 1e6


async def one_task(url: str, effort: Effort) -> Figures:
    """One task, one call after the other: latency."""
    async with _own(url) as cache, opened({**SHARED, FLOOR: BUSY[FLOOR]}, url) as peers:
        gets = await _filled(cache, peers, effort)
        subjects = {name: awaiting(get, _keys(name, effort)[0]) for name, get in gets.items()}
        found = await alternate(subjects, effort)
        assert cache.stats().near_hits == 0, "a hit was near"
    in_micro = {name: [seconds * _MICRO for seconds in values] for name, values in found.items()}
    return replace(Figures.of(in_micro, BASE, peers.missing), note=_floor(in_micro, "µs"))


async def many_tasks(tasks: int, url: str, effort: Effort) -> Figures:
    """Many tasks at once, each going through keys of its own: throughput."""
    overwhelmed = {}
    async with _own(url) as cache, opened(BUSY, url) as peers:
        gets = await _filled(cache, peers, effort)
        subjects = {name: throughput(get, _keys(name, effort), tasks) for name, get in gets.items()}
        for name in peers.running:
            try:
                await subjects[name](tasks)
            except Exception as error:  # noqa: BLE001 - a peer that this many tasks are too much for is named, not fatal
                del subjects[name]
                overwhelmed[name] = why(error)
        # The rounds are longer, so that the start of the tasks does not count.
        found = await alternate(subjects, replace(effort, seconds=4 * effort.seconds), least=tasks)
        stats = cache.stats()
        assert stats.near_hits == stats.misses == 0, "not every call was a hit on the server"
    per_second = {name: [1 / seconds for seconds in values] for name, values in found.items()}
    figures = Figures.of(per_second, BASE, {**peers.missing, **overwhelmed})
    return replace(figures, note=_floor(per_second, "/s"))


def _floor(found: Mapping[str, Sequence[float]], unit: str) -> str:
    """Return the cost of a hit's commands without a cache around them, as text."""
    floor = Figures.of({**found, "ours": found[FLOOR]}, BASE, {})
    return f"{FLOOR} with no cache around it: {shown(floor.ours, unit)}, {shown(floor.ratio)} x"


def _own(url: str) -> Cache:
    # The timeout is long because other work beside this run must not turn a hit into a miss.
    return Cache(url, prefix="bench-shared", near_max_bytes=0, operation_timeout="10s", ttl="1h")


async def _filled(cache: Cache, peers: Opened, effort: Effort) -> dict[str, Get]:
    """Store the values, and return each subject's read by name: each has its own keys on the one server."""
    await cache.set_many(dict.fromkeys(_keys("ours", effort), VALUE), strict=True)
    for name, peer in peers.running.items():
        await peers.put(name, dict.fromkeys(_keys(name, effort), VALUE))
        assert await peer.get(_keys(name, effort)[-1]) in (VALUE, VALUE.encode())
    return {**{name: peer.get for name, peer in peers.running.items()}, "ours": cache.get}


def _keys(name: str, effort: Effort) -> list[str]:
    return [f"{name}:{number}" for number in range(100 if effort.quick else 2000)]


ROWS = (
    Row("shared", "shared hit, one task", "redis-py asyncio", "µs", 0.9, one_task),
    Row("shared-50", "shared hits, 50 tasks", "redis-py asyncio", "/s", 10, partial(many_tasks, 50), at_least=True),
    Row("shared-500", "shared hits, 500 tasks", "redis-py asyncio", "/s", 20, partial(many_tasks, 500), at_least=True),
)
