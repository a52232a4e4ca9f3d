"""Threads: hits of ``SyncCache`` in memory and on the server, beside a dict and beside redis-py's blocking client."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.figures import Effort, Figures, Row
from benchmarks.rounds import Subject, alternate, calling
from fleetcache import SyncCache

KEY = "user:42"
VALUE = "x" * 100
BASE = "redis-py"

_MICRO = 1e6


async def near(url: str, effort: Effort) -> Figures:
    """``cache.get(key)`` and ``cache.peek(key)`` beside ``dict.get``: the slower of the two counts."""
    plain = {KEY: VALUE}

    def look_up(key: str) -> str | None:
        return plain.get(key)

    with SyncCache(url, prefix="bench-sync-near", operation_timeout="10s") as cache:
        cache.set(KEY, VALUE)
        assert cache.get(KEY) == cache.peek(KEY) == VALUE
        subjects = {
            "ours": calling(cache.get, KEY),
            "peek": calling(cache.peek, KEY),
            "dict.get": calling(plain.get, KEY),
            "def": calling(look_up, KEY),
        }
        found = await alternate(subjects, effort)
        assert cache.stats().shared_hits <= 1, "a hit was not near"
    found = {name: [seconds * _MICRO for seconds in values] for name, values in found.items()}
    peek, function = (Figures.of({**found, "ours": found[name]}, "dict.get", {}) for name in ("peek", "def"))
    figures = Figures.of(found, "dict.get", {})
    return Figures(
        figures.ours,
        figures.base,
        figures.ratio,
        note=f"`peek` {peek.ratio:.3g} x; a `def` that does nothing but call `dict.get` {function.ratio:.3g} x",
    )


async def one_thread(url: str, effort: Effort) -> Figures:
    """One thread, one call after the other: latency of a hit on the server."""
    with _own(url) as cache:
        calls, missing = _filled(cache, url, effort)
        subjects: dict[str, Subject] = {name: calling(get, keys[0]) for name, (get, keys) in calls.items()}
        found = await alternate(subjects, effort)
        assert cache.stats().near_hits == 0, "a hit was near"
    return Figures.of({name: [seconds * _MICRO for seconds in each] for name, each in found.items()}, BASE, missing)


async def many_threads(threads: int, url: str, effort: Effort) -> Figures:
    """Many threads at once, each going through keys of its own: throughput."""
    with _own(url) as cache:
        calls, missing = _filled(cache, url, effort)
        subjects = {name: _crowd(get, keys, threads) for name, (get, keys) in calls.items()}
        found = await alternate(subjects, effort, least=20 * threads)
        stats = cache.stats()
        assert stats.near_hits == stats.misses == 0, "not every call was a hit on the server"
    return Figures.of({name: [1 / seconds for seconds in each] for name, each in found.items()}, BASE, missing)


async def beside_computing(url: str, effort: Effort) -> Figures:
    """A hit on the server while another thread computes in Python without a pause: in switch intervals of the GIL."""
    import sys  # noqa: PLC0415 - for its interval

    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(number * number for number in range(1000))

    with _own(url) as cache:
        calls, missing = _filled(cache, url, effort)
        thread = threading.Thread(target=compute)
        thread.start()
        try:
            found = await alternate({name: calling(get, keys[0]) for name, (get, keys) in calls.items()}, effort)
        finally:
            over.set()
            thread.join()
    figures = Figures.of({name: [1000 * seconds for seconds in each] for name, each in found.items()}, BASE, missing)
    return Figures(figures.ours, figures.base, figures.ours / (1000 * sys.getswitchinterval()), figures.peers)


def _crowd(get: Callable[[str], object], keys: Sequence[str], threads: int) -> Subject:
    apart = max(1, len(keys) // threads)

    def work(thread: int, calls: int) -> None:
        for number in range(thread * apart, thread * apart + calls):
            get(keys[number % len(keys)])

    async def run(calls: int) -> float:
        each = max(1, calls // threads)
        crowd = [threading.Thread(target=work, args=(thread, each)) for thread in range(threads)]
        began = time.perf_counter()
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        return (time.perf_counter() - began) * calls / (each * threads)

    return run


def _own(url: str) -> SyncCache:
    # The timeout is long because other work beside this run must not turn a hit into a miss.
    return SyncCache(url, prefix="bench-threads", near_max_bytes=0, operation_timeout="10s", ttl="1h")


def _filled(
    cache: SyncCache, url: str, effort: Effort
) -> tuple[dict[str, tuple[Callable[[str], Any], list[str]]], dict[str, str]]:
    """What reads a hundred bytes from the server, by name, with its keys; and who is not here."""
    numbers = range(100 if effort.quick else 2000)
    ours = [f"ours:{number}" for number in numbers]
    cache.set_many(dict.fromkeys(ours, VALUE), strict=True)
    calls: dict[str, tuple[Callable[[str], Any], list[str]]] = {"ours": (cache.get, ours)}
    import redis  # noqa: PLC0415 - only when measured

    client = redis.Redis.from_url(url)
    theirs = [f"redis-py:{number}" for number in numbers]
    client.mset(dict.fromkeys(theirs, VALUE))
    return {**calls, BASE: (client.get, theirs)}, {}


ROWS = (
    Row("sync-near", "`SyncCache.get`, near hit", "`dict.get`", "µs", 4, near),
    Row("sync-shared", "`SyncCache`, shared hit, one thread", "redis-py", "µs", 0.9, one_thread),
    Row(
        "sync-shared-16",
        "`SyncCache`, shared hits, 16 threads",
        "redis-py",
        "/s",
        2,
        partial(many_threads, 16),
        at_least=True,
    ),
    Row(
        "sync-computing",
        "`SyncCache`, shared hit beside a thread that computes",
        "redis-py; must be in switch intervals",
        "ms",
        4,
        beside_computing,
    ),
)
