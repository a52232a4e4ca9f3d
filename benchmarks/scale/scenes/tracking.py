"""The server's tracking table: more keys than it holds, and the memory that it takes from entries."""

import asyncio
import logging
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.scale.lab import PREFIX, Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache
from fleetcache.shared.embedded import launch
from fleetcache.shared.embedded.folder import Folder
from tests.support.client import Client
from tests.support.engines import engines
from tests.support.waiting import eventually

UNHURRIED: dict[str, Any] = {"operation_timeout": "5s", "connect_timeout": "20s"}

# -- more keys than the table holds ------------------------------------------------------------------------------------

INSTANCES, TABLE, KEYS, HELD = 60, 3600, 4000, 2000
RUNS, READS = 3, 3000


def full_table(lab: Lab) -> Mapping[str, float]:
    """Let a fleet read 11 % more keys than the server tracks; nobody writes. The median of some runs."""
    runs = [asyncio.run(_full_table(lab)) for _ in range(RUNS)]
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return figures | {"lowest near hit ratio": min(run["near hit ratio"] for run in runs)}


async def _full_table(lab: Lab) -> dict[str, float]:
    server = lab.server("--tracking-table-max-keys", str(TABLE))
    keys = [f"k{number}" for number in range(KEYS)]
    weights = [1 / (rank + 1) ** 0.8 for rank in range(KEYS)]
    picks = random.Random(1).choices(keys, weights, k=200_000)
    async with lab.fleet(server, INSTANCES, near_max_items=HELD, ttl="1h", **UNHURRIED) as caches:
        await caches[0].set_many(dict.fromkeys(keys, "v" * 100))
        await _read(caches, picks, 9973)
        before = sum(cache.stats().shared_hits for cache in caches)
        with lab.spent(server) as spent:
            await _read(caches, picks, 7919)
        shared = sum(cache.stats().shared_hits for cache in caches) - before
        async with Cache(server.url, prefix=PREFIX, **UNHURRIED) as late:
            warned = (await late.health()).reason == "tracking_table"
    return {
        "near hit ratio": round(1 - shared / (INSTANCES * READS), 3),
        "a new instance is warned": float(warned),
        "questions for each read": round(spent.commands["evalsha"] / shared, 3),
    }


async def _read(caches: Sequence[Cache], picks: Sequence[str], apart: int) -> None:
    """Let each cache read its own part of the picks, all at the same time."""

    async def reads(cache: Cache, first: int) -> None:
        for number in range(first, first + READS):
            assert await cache.get(picks[number % len(picks)]) is not None
            if number % 10 == 0:
                await asyncio.sleep(0)

    await asyncio.gather(*(reads(cache, number * apart) for number, cache in enumerate(caches)))


# -- the memory of the embedded server ---------------------------------------------------------------------------------

PROCESSES, WORKERS = 64, 9
ENTRIES, CHUNK = 40_000, 1000


def embedded(lab: Lab) -> Mapping[str, float]:
    """Let 64 caches read 40,000 entries of one embedded server; compare near with that of the first alone."""
    vars(launch).update(find_server=lambda: Path(engines()[lab.engine]), LINGER=0.2)
    with tempfile.TemporaryDirectory(prefix="fc-") as base:
        return asyncio.run(_embedded(lab, base))


async def _embedded(lab: Lab, base: str) -> Mapping[str, float]:
    async with _cache(base, near_max_items=2 * ENTRIES, near_max_bytes="100MB") as cache:
        for start in range(0, ENTRIES, CHUNK):
            await cache.set_many(dict.fromkeys(_keys(start), "v" * 150))
        alone = await _ratio(cache)
        workers = [lab.worker(_reader, base, (PROCESSES - 1) // WORKERS) for _ in range(WORKERS)]
        for worker in workers:
            await asyncio.to_thread(worker.receive, 280)
        together = await _ratio(cache)
        with Client.unix(str(Folder.choose(base).socket)) as client:
            info = dict(line.split(":", 1) for line in client("INFO", "all").decode().splitlines() if ":" in line)
        for worker in workers:
            worker.send("end")
            await asyncio.to_thread(worker.receive)
    await eventually(lambda: not Folder.choose(base).path.exists())
    return {
        "entries evicted": float(info["evicted_keys"]),
        "near hit ratio, by that of one process": round(together / alone, 3),
        "readers of an entry": round(int(info["tracking_total_items"]) / ENTRIES, 1),
        "used, MB": round(int(info["used_memory"]) / 1e6),
        "maxmemory, MB": round(int(info["maxmemory"]) / 1e6),
    }


def _cache(base: str, **settings: Any) -> Cache:
    return Cache("embedded://", embedded_dir=base, prefix=PREFIX, ttl="1h", **UNHURRIED, **settings)


def _keys(start: int) -> list[str]:
    return [f"entry:{number}" for number in range(start, start + CHUNK)]


async def _ratio(cache: Cache) -> float:
    """Read each entry twice; return near's part of the second time."""
    for _ in range(2):
        before = cache.stats()
        for start in range(0, ENTRIES, CHUNK):
            await cache.get_many(_keys(start))
        after = cache.stats()
    return (after.near_hits - before.near_hits) / ENTRIES


def _reader(pipe: Connection, base: str, caches: int) -> None:
    """Read all entries with some caches, and stay connected until told to end."""
    logging.getLogger("fleetcache").addHandler(logging.NullHandler())  # each warns that the table is large
    asyncio.run(_all_read(pipe, base, caches))


async def _all_read(pipe: Connection, base: str, count: int) -> None:
    caches = [_cache(base, near_max_items=CHUNK) for _ in range(count)]
    for cache in caches:
        await cache.open()
        for start in range(0, ENTRIES, CHUNK):
            await cache.get_many(_keys(start))
    pipe.send("read")
    await asyncio.to_thread(pipe.recv)
    for cache in caches:
        await cache.close()
    pipe.send("closed")


SCENES = (
    Scene(
        "tracking_table",
        f"{INSTANCES} instances read 11 % more keys than the tracking table holds, the median of {RUNS} runs",
        (Bound("near hit ratio", 0.15, at_least=True), Bound("a new instance is warned", 1.0, at_least=True)),
        full_table,
        patience=600.0,
    ),
    Scene(
        "embedded_memory",
        f"{PROCESSES} caches in {WORKERS + 1} processes read {ENTRIES:,} entries of one embedded server",
        (Bound("entries evicted", 0.0), Bound("near hit ratio, by that of one process", 0.9, at_least=True)),
        embedded,
        patience=600.0,
    ),
)
