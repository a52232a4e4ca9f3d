"""What calls leave behind: objects that only a full collection frees, and the memory of a process that writes much."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.scale.lab import PREFIX, Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache

CALLS = 500
NEAR = 32_000_000
VALUES, SIZE = 20_000, 10_000


def cycles(lab: Lab) -> Mapping[str, float]:
    """Count the objects in reference cycles that a write, a miss and a failed load leave."""
    return asyncio.run(_cycles(lab))


async def _cycles(lab: Lab) -> Mapping[str, float]:
    async def load() -> str:
        return "v"

    async def fail() -> str:
        raise ValueError

    async def failed(number: int) -> None:
        try:
            await cache.get_or_set(f"failed:{number}", fail)
        except ValueError:
            return

    async with Cache(lab.server().url, prefix=PREFIX, operation_timeout="5s") as cache:
        calls: dict[str, Callable[[int], Awaitable[Any]]] = {
            "write": lambda number: cache.set(f"written:{number}", "v"),
            "miss": lambda number: cache.get_or_set(f"missed:{number}", load),
            "failed load": failed,
        }
        return {f"objects a {name}": await _left(call) for name, call in calls.items()}


async def _left(call: Callable[[int], Awaitable[Any]]) -> float:
    await call(-1)
    gc.collect()
    gc.disable()
    for number in range(CALLS):
        await call(number)
    found = gc.collect()
    gc.enable()
    return round(found / CALLS, 1)


def writes(lab: Lab) -> Mapping[str, float]:
    """Write 200 MB of values of 10 kB, and measure by how much the process grows."""
    return asyncio.run(_writes(lab))


async def _writes(lab: Lab) -> Mapping[str, float]:
    async with Cache(lab.server().url, prefix=PREFIX, operation_timeout="5s", near_max_bytes=NEAR) as cache:
        for number in range(100):
            await cache.set(f"first:{number}", os.urandom(SIZE // 2).hex())
        before, most = _resident(), 0
        for number in range(VALUES):
            await cache.set(f"written:{number}", os.urandom(SIZE // 2).hex())
            if number % 100 == 0:
                most = max(most, _resident())
    return {"growth, by near's bound": round((most - before) / NEAR, 2)}


def _resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


SCENES = (
    Scene(
        "cycles",
        "what a call leaves to the collector",
        (Bound("objects a write", 0.0), Bound("objects a miss", 10.0), Bound("objects a failed load", 10.0)),
        cycles,
    ),
    Scene(
        "writes",
        "one process writes 200 MB of values of 10 kB",
        (Bound("growth, by near's bound", 1.2),),
        writes,
    ),
)
