"""A source that is slow, hangs, or is asked for everything at once by a fleet with an empty cache."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from benchmarks.scale.lab import Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache, LoadTimeout

# Patience for a busy machine: these scenes judge counts of loads, and a timeout would add loads of its own.
UNHURRIED = {"operation_timeout": "10s", "max_staleness": "60s"}


class Source:
    """Counts the loads of a fleet, and those that run at the same moment."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()
        self.now: Counter[int] = Counter()
        self.most_in_all = self.most_each = 0
        self.go = asyncio.Event()

    async def load(self, key: str, instance: int, seconds: float | None) -> str:
        """Load for so many seconds, or until ``go`` is set."""
        self.loads[key] += 1
        self.now[instance] += 1
        self.most_each = max(self.most_each, self.now[instance])
        self.most_in_all = max(self.most_in_all, self.now.total())
        try:
            await (self.go.wait() if seconds is None else asyncio.sleep(seconds))
        finally:
            self.now[instance] -= 1
        return "v"


# -- cold start --------------------------------------------------------------------------------------------------------

COLD_INSTANCES, KEYS, PLACES, COPIES = 50, 1439, 8, 2
# Seconds of a load. A lease is twice as long, longer than any turn of the event loop that all instances share.
TAKES = 2.0


def cold(lab: Lab) -> Mapping[str, float]:
    """Ask for many absent keys at once, each by several instances."""
    return asyncio.run(_cold(lab))


async def _cold(lab: Lab) -> Mapping[str, float]:
    source = Source()
    async with lab.fleet(lab.server(), COLD_INSTANCES, max_loads=PLACES, load_wait="10m", **UNHURRIED) as caches:
        await asyncio.gather(
            *(
                _ask(caches[(number * COPIES + copy) % COLD_INSTANCES], source, number, copy)
                for number in range(KEYS)
                for copy in range(COPIES)
            )
        )
        waited = sum(cache.stats().place_waits for cache in caches)
        queued = sum(cache.stats().queued for cache in caches)
    return {
        "loads at once, an instance": source.most_each,
        "loads at once, in all": source.most_in_all,
        "loads of a key, most": max(source.loads.values()),
        "keys not loaded": KEYS - len(source.loads),
        "left in a queue": queued,
        "loads that waited for a place": waited,
    }


async def _ask(cache: Cache, source: Source, number: int, copy: int) -> None:
    instance = (number * COPIES + copy) % COLD_INSTANCES
    assert await cache.get_or_set(f"k{number}", lambda: source.load(f"k{number}", instance, TAKES)) == "v"


# -- loads that take long ----------------------------------------------------------------------------------------------

INSTANCES = 200
LOAD_WAIT = 4.0  # seconds; thirty by default
LATER = 20


def slow(lab: Lab) -> Mapping[str, float]:
    """Ask for a key whose load takes one and a half times as long as callers wait."""
    return asyncio.run(_slow(lab))


async def _slow(lab: Lab) -> Mapping[str, float]:
    source = Source()
    async with lab.fleet(lab.server(), INSTANCES, load_wait=LOAD_WAIT, **UNHURRIED) as caches:
        await _all_ask(caches, source, 1.5 * LOAD_WAIT)
        stored = await caches[0].get("k")
    return {"loads": source.loads["k"], "stored": float(stored == "v")}


def hangs(lab: Lab) -> Mapping[str, float]:
    """Ask for a key whose loads hang, then ask again in one process."""
    return asyncio.run(_hangs(lab))


async def _hangs(lab: Lab) -> Mapping[str, float]:
    source, again = Source(), Source()
    async with lab.fleet(lab.server(), 3, load_wait=LOAD_WAIT / 4, near_max_bytes=0, **UNHURRIED) as caches:
        stuck = [asyncio.create_task(_ask_for(cache, source, number, None)) for number, cache in enumerate(caches[:2])]
        while source.loads["k"] < len(stuck):  # noqa: ASYNC110 - the loads are what is waited for
            await asyncio.sleep(0.01)
        await _ask_for(caches[2], again, 2, 0.01)
        began = time.monotonic()
        await asyncio.gather(*(_ask_for(caches[2], again, 2, 0.01) for _ in range(LATER)))
        took = time.monotonic() - began
        source.go.set()
        await asyncio.gather(*stuck)
    return {
        "hung loads": source.loads["k"],
        "later loads at once": again.most_in_all,
        "later loads": again.loads["k"] - 1,
        "wait of later calls": took / (LOAD_WAIT / 4),
    }


def limited(lab: Lab) -> Mapping[str, float]:
    """Ask for a key whose load hangs and has a limit."""
    return asyncio.run(_limited(lab))


async def _limited(lab: Lab) -> Mapping[str, float]:
    source = Source()
    async with lab.fleet(lab.server(), INSTANCES, load_limit="1s", load_wait="60s", **UNHURRIED) as caches:
        began = time.monotonic()
        errors = await asyncio.gather(
            *(_ask_for(cache, source, number, None) for number, cache in enumerate(caches)), return_exceptions=True
        )
        took = time.monotonic() - began
        abandoned = sum(cache.stats().abandoned for cache in caches)
    return {
        "loads": source.loads["k"],
        "callers without LoadTimeout": sum(not isinstance(error, LoadTimeout) for error in errors),
        "abandoned": abandoned,
        "longest call": took,
    }


async def _all_ask(caches: Sequence[Cache], source: Source, seconds: float) -> None:
    await asyncio.gather(*(_ask_for(cache, source, number, seconds) for number, cache in enumerate(caches)))


async def _ask_for(cache: Cache, source: Source, instance: int, seconds: float | None) -> None:
    assert await cache.get_or_set("k", lambda: source.load("k", instance, seconds)) == "v"


SCENES = (
    Scene(
        "cold-start",
        f"{COLD_INSTANCES} instances, {KEYS} absent keys at once, CACHE_MAX_LOADS={PLACES}",
        (
            Bound("loads at once, an instance", PLACES),
            Bound("loads at once, in all", COLD_INSTANCES * PLACES),
            Bound("loads of a key, most", 1),
            Bound("keys not loaded", 0),
            Bound("left in a queue", 0),
        ),
        cold,
    ),
    Scene(
        "slow-load",
        f"{INSTANCES} instances, one load of 1.5 times CACHE_LOAD_WAIT",
        (Bound("loads", 2), Bound("stored", 1, at_least=True)),
        slow,
    ),
    Scene(
        "hung-load",
        f"two loads of a key hang, then {LATER} calls in another process",
        (
            Bound("hung loads", 2),
            Bound("later loads at once", 1),
            Bound("later loads", 2),
            Bound("wait of later calls", 0.5, "load_wait"),
        ),
        hangs,
    ),
    Scene(
        "load-limit",
        f"{INSTANCES} instances, one load that hangs, load_limit of 1 s",
        (
            Bound("loads", 1),
            Bound("callers without LoadTimeout", 0),
            Bound("abandoned", 0),
            Bound("longest call", 3.0, "s"),
        ),
        limited,
    ),
)
