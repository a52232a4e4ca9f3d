"""Threads: hits of ``SyncCache`` in memory and on the server, beside a dict and the usual caches of threads."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median, quantiles
from typing import Any

from benchmarks.bare import connect_blocking
from benchmarks.figures import SYNC_PEERS, Effort, Figures, Row, shown
from benchmarks.floors import BASE as DICT
from benchmarks.floors import floors, told
from benchmarks.peers import FLOOR
from benchmarks.peers_sync import NEAR_SYNC, SHARED_SYNC, opened_sync
from benchmarks.rounds import Subject, alternate, calling
from fleetcache import SyncCache

KEY = "user:42"
VALUE = "x" * 100
BASE = "redis-py"

_MICRO = 1e6
_MILLI = 1e3


async def near(url: str, effort: Effort) -> Figures:
    """``cache.get(key)`` beside ``dict.get``, and in the note ``cache.peek(key)``."""
    with (
        SyncCache(url, prefix="bench-sync-near", operation_timeout="10s") as cache,
        opened_sync(NEAR_SYNC, url) as peers,
    ):
        cache.set(KEY, VALUE)
        assert cache.get(KEY) == cache.peek(KEY) == VALUE
        for peer in peers.running.values():
            peer.put(KEY, VALUE)
            assert peer.get(KEY) == VALUE
        subjects = {name: calling(peer.get, KEY) for name, peer in peers.running.items()}
        subjects |= {"ours": calling(cache.get, KEY), "peek": calling(cache.peek, KEY), **floors(KEY, VALUE)}
        found = _times(_MICRO, await alternate(subjects, effort))
        assert cache.stats().shared_hits <= 1, "a hit was not near"
    peek = shown(Figures.of({**found, "ours": found["peek"]}, DICT, {}).ratio)
    return replace(Figures.of(found, DICT, peers.missing), note=f"`peek` {peek} x; {told(found)}")


async def one_thread(url: str, effort: Effort) -> Figures:
    """One thread, one call after the other: latency of a hit on the server."""
    with _shared(url, effort) as shared, ExitStack() as stack:
        bare = calling(connect_blocking(url, stack), shared.keys[BASE][0])
        found = await alternate({**shared.one_key(), FLOOR: bare}, effort)
    floor = shown(Figures.of({**found, "ours": found[FLOOR]}, BASE, {}).ratio)
    return replace(
        Figures.of(_times(_MICRO, found), BASE, shared.missing), note=f"{FLOOR}, no cache around it: {floor} x"
    )


async def many_threads(threads: int, url: str, effort: Effort) -> Figures:
    """Many threads at once, each going through keys of its own: throughput."""
    with _shared(url, effort) as shared:
        subjects = {name: _crowd(get, shared.keys[name], threads) for name, get in shared.gets.items()}
        found = await alternate(subjects, effort, least=20 * threads)
    return Figures.of({name: [1 / seconds for seconds in each] for name, each in found.items()}, BASE, shared.missing)


async def beside_computing(url: str, effort: Effort) -> Figures:
    """A hit on the server while another thread computes in Python without a pause, beside the switch interval.

    Rounds have one call each, and the figure is their 95th percentile: the median alone would hide calls that wait
    twice. The note has the same with a fifth of the interval: the interval's share must shrink with it.
    """
    interval = sys.getswitchinterval()
    single = replace(effort, rounds=10 * effort.rounds, seconds=0)
    found = []
    with _shared(url, effort) as shared, _computing():
        for seconds in (interval, interval / 5):
            sys.setswitchinterval(seconds)
            try:
                found.append(_times(_MILLI, await alternate(shared.one_key(), single, least=1)))
            finally:
                sys.setswitchinterval(interval)
    usual, short = found
    peers: dict[str, float | str] = {name: _p95(times) for name, times in usual.items() if name != "ours"}
    ours, in_milli = _p95(usual["ours"]), _MILLI * interval
    note = (
        f"the median is {shown(median(usual['ours']))} ms;"
        f" with an interval of {shown(in_milli / 5)} ms p95 is {shown(_p95(short['ours']))} ms"
    )
    return Figures(ours, in_milli, ours / in_milli, {**peers, **shared.missing}, note)


def _p95(times: Sequence[float]) -> float:
    return quantiles(times, n=20)[-1]


@contextmanager
def _computing() -> Iterator[None]:
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(number * number for number in range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


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


@dataclass(frozen=True)
class _Shared:
    """A read of a hundred bytes from the server for each subject, with its own keys; and the missing subjects."""

    gets: Mapping[str, Callable[[str], Any]]
    keys: Mapping[str, Sequence[str]]
    missing: Mapping[str, str]

    def one_key(self) -> dict[str, Subject]:
        """Return reads in which each subject asks for its own key again and again."""
        return {name: calling(get, self.keys[name][0]) for name, get in self.gets.items()}


@contextmanager
def _shared(url: str, effort: Effort) -> Iterator[_Shared]:
    """Store the values of all subjects; at the end check that each of our calls was a hit on the server."""
    # The timeout is long because other work beside this run must not turn a hit into a miss.
    own = SyncCache(url, prefix="bench-threads", near_max_bytes=0, operation_timeout="10s", ttl="1h")
    with own as cache, opened_sync(SHARED_SYNC, url) as peers:
        numbers = range(100 if effort.quick else 2000)
        keys = {name: [f"{name}:{number}" for number in numbers] for name in ("ours", *peers.running)}
        cache.set_many(dict.fromkeys(keys["ours"], VALUE), strict=True)
        for name, peer in peers.running.items():
            for key in keys[name]:
                peer.put(key, VALUE)
            assert peer.get(keys[name][-1]) in (VALUE, VALUE.encode())
        gets = {"ours": cache.get} | {name: peer.get for name, peer in peers.running.items()}
        yield _Shared(gets, keys, peers.missing)
        stats = cache.stats()
        assert stats.near_hits == stats.misses == 0, "not every call was a hit on the server"


def _times(factor: float, found: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [factor * seconds for seconds in each] for name, each in found.items()}


_row = partial(Row, columns=SYNC_PEERS)

ROWS = (
    _row("sync-near", "`SyncCache.get`, near hit", "`dict.get`", "µs", 4, near),
    _row("sync-shared", "`SyncCache`, shared hit, one thread", BASE, "µs", 0.9, one_thread),
    _row(
        "sync-shared-16",
        "`SyncCache`, shared hits, 16 threads",
        BASE,
        "/s",
        2,
        partial(many_threads, 16),
        at_least=True,
    ),
    # A call gives up the interpreter twice, when it writes and when it waits, and has it back an interval later. The
    # third interval is the machine's, which others use, too.
    _row(
        "sync-computing",
        "`SyncCache`, shared hit beside a thread that computes, p95",
        "switch interval",
        "ms",
        3,
        beside_computing,
    ),
)
