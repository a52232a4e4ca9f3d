"""Keys that are loaded in one moment: whether they also end in one moment, and their loads begin together."""

import asyncio
from collections.abc import Iterable, Mapping

from benchmarks.scale.lab import PREFIX, Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache

KEYS, TTL = 10_000, 1000
GRACE = 10_000  # ms that the server keeps an entry beyond its life


def together(lab: Lab) -> Mapping[str, float]:
    """Load many keys at once, store many at once, set some, and compare their lives with their ttl."""
    return asyncio.run(_together(lab))


async def _together(lab: Lab) -> Mapping[str, float]:
    async def load(missing: list[str]) -> dict[str, str]:
        return dict.fromkeys(missing, "v")

    server = lab.server()
    loaded, stored = ([f"{kind}:{number}" for number in range(KEYS)] for kind in ("loaded", "stored"))
    exact = [f"set:{number}" for number in range(100)]
    async with Cache(server.url, prefix=PREFIX, operation_timeout="10s", ttl=TTL) as cache:
        await cache.get_or_set_many(loaded, load)
        await cache.set_many(dict.fromkeys(stored, "v"))
        for key in exact:
            await cache.set(key, "v")
        with server.client() as client:
            lives = {key: (client("PTTL", f"{PREFIX}:e:{key}") - GRACE) / 1000 / TTL for key in loaded + stored + exact}
    return {
        "spread of loads, by ttl": _spread(lives[key] for key in loaded),
        "spread of set_many, by ttl": _spread(lives[key] for key in stored),
        "spread of set, by ttl": _spread(lives[key] for key in exact),
        "longest life, by ttl": round(max(lives.values()), 4),
        "shortest life, by ttl": round(min(lives.values()), 3),
    }


def _spread(lives: Iterable[float]) -> float:
    found = list(lives)
    return round(max(found) - min(found), 3)


SCENES = (
    Scene(
        "lifetimes",
        f"{KEYS:,} keys are loaded, and as many are stored, in one moment",
        (
            Bound("spread of loads, by ttl", 0.045, at_least=True),
            Bound("spread of set_many, by ttl", 0.045, at_least=True),
            Bound("spread of set, by ttl", 0.01),
            Bound("longest life, by ttl", 1.0),
            Bound("shortest life, by ttl", 0.93, at_least=True),
        ),
        together,
    ),
)
