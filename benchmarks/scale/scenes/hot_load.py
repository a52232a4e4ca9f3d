"""Many instances wait for one load: what each of them asks the server meanwhile."""

import asyncio
from collections.abc import Mapping

from benchmarks.scale.lab import Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache
from tests.support.client import Client

INSTANCES = 300
LOAD = 1.5  # seconds; all instances wait by then


def waiting(lab: Lab) -> Mapping[str, float]:
    """Let all instances ask for a key that none has, and count the commands and the writes of those that wait."""
    return asyncio.run(_waiting(lab))


async def _waiting(lab: Lab) -> Mapping[str, float]:
    server, loads = lab.server(), 0

    async def load() -> str:
        nonlocal loads
        loads += 1
        await asyncio.sleep(LOAD)
        return "v"

    async def ask(cache: Cache) -> None:
        assert await cache.get_or_set("hot", load, ttl="1m") == "v"

    # No heartbeat and no timeout of a busy machine comes in between.
    async with lab.fleet(server, INSTANCES, operation_timeout="10s", max_staleness="1m") as caches:
        with server.client() as client:
            before = _writes(client)
            with lab.spent(server) as spent:
                await asyncio.gather(*(ask(cache) for cache in caches))
            writes = _writes(client) - before
    return {
        "loads": loads,
        "commands, each": round(_sent(spent.commands) / INSTANCES, 2),
        "writes, each": round(writes / INSTANCES, 2),
        "server CPU, each": round(1e6 * spent.cpu / INSTANCES),
    }


def _sent(commands: Mapping[str, int]) -> int:
    """Return the commands that clients sent: the script that takes the lease runs one ``GET`` and one ``PTTL``."""
    scripts = commands.get("evalsha", 0)
    return scripts + commands.get("get", 0) + commands.get("pttl", 0) - 2 * scripts


def _writes(client: Client) -> int:
    """Return how often the server has read from a client: once for each write that it got."""
    lines = client("INFO", "stats").decode().splitlines()
    return int(dict(line.split(":", 1) for line in lines if ":" in line)["total_reads_processed"])


SCENES = (
    Scene(
        "hot-load",
        f"{INSTANCES} instances wait for one load",
        (Bound("loads", 1), Bound("commands, each", 5.1), Bound("writes, each", 3.1)),
        waiting,
    ),
)
