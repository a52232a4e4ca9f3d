"""More instances than the server admits: how often those outside ask, and when they are let in."""

import asyncio
import time
from collections.abc import Mapping

from benchmarks.scale.lab import PREFIX, Lab, online
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache

SEATS, OUTSIDE = 20, 30
WINDOW = 30.0  # seconds


def full(lab: Lab) -> Mapping[str, float]:
    """Fill the server, count the attempts of the instances outside, then make room for all of them."""
    return asyncio.run(_full(lab))


async def _full(lab: Lab) -> Mapping[str, float]:
    server = lab.server()
    async with lab.fleet(server, SEATS):
        with server.client() as admin:
            admin("CONFIG", "SET", "maxclients", SEATS + 1)  # the last place is this client's
            outside = [Cache(server.url, prefix=PREFIX) for _ in range(OUTSIDE)]
            began = time.monotonic()
            await asyncio.gather(*(cache.open() for cache in outside))
            assert {cache.stats().link for cache in outside} == {"offline"}
            await asyncio.sleep(began + WINDOW - time.monotonic())
            refused = int(_field(admin("INFO", "stats"), "rejected_connections"))
            admin("CONFIG", "SET", "maxclients", SEATS + OUTSIDE + 100)
        waited = await online(outside)
        await asyncio.gather(*(cache.close() for cache in outside))
    return {"attempts in 30 s, each": refused / OUTSIDE, "all are in after": waited}


def _field(info: bytes, name: str) -> str:
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)[name]


SCENES = (
    Scene(
        "maxclients",
        f"{OUTSIDE} instances more than the server admits, then room for them",
        (Bound("attempts in 30 s, each", 2.0), Bound("all are in after", 30.0, "s")),
        full,
    ),
)
