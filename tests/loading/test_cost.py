"""What a load costs the server: each instance that waits for a hot load asks as little as it can."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.shared.reading import Reads
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.threaded import threaded
from tests.support.waiting import eventually

WAITING = 8
FACES = {"Cache": Cache, "SyncCache": threaded, "SyncCache.aio": tasked}
# No timeout and no heartbeat comes in between, on a busy machine too.
SETTINGS: dict[str, Any] = {"operation_timeout": "10s", "max_staleness": "1m"}


class Origin:
    """A loader that counts its calls and can be held."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def load(self) -> str:
        self.calls += 1
        await self.go.wait()
        return "v"

    async def load_many(self, keys: list[str]) -> dict[str, str]:
        self.calls += 1
        await self.go.wait()
        return dict.fromkeys(keys, "v")


def _sent(client: Client) -> tuple[int, int]:
    """Return the commands that clients sent for entries, and how often the server has read from a client."""
    stats = _fields(client("INFO", "stats"))
    calls = {
        name.removeprefix("cmdstat_"): int(said.split(",")[0].removeprefix("calls="))
        for name, said in _fields(client("INFO", "commandstats")).items()
    }
    scripts = calls.get("evalsha", 0)
    # The script that takes the lease runs a GET and a PTTL.
    return calls.get("get", 0) + calls.get("pttl", 0) + scripts - 2 * scripts, int(stats["total_reads_processed"])


def _fields(info: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


Ask = Callable[[Any, Origin], Awaitable[object]]


async def _cost(server: Server, prefix: str, make: Callable[..., Any], ask: Ask, *, late: bool) -> tuple[float, float]:
    """Return the commands and the writes of each instance that waits for the load of another.

    ``late``: the instances come while the load runs; else all come together.
    """
    origin = Origin()
    async with AsyncExitStack() as stack:
        caches = [
            await stack.enter_async_context(make(server.url, prefix=prefix, **SETTINGS)) for _ in range(WAITING + 1)
        ]
        await eventually(lambda: all(cache.stats().link == "online" for cache in caches))
        with server.client() as client:
            loading = []
            if late:
                loading = [asyncio.create_task(_asked(ask, caches.pop(), origin))]
                await eventually(lambda: origin.calls == 1)
            commands, reads = _sent(client)
            loading += [asyncio.create_task(_asked(ask, cache, origin)) for cache in caches]
            await eventually(lambda: sum(cache.stats().waits for cache in caches) >= WAITING)
            await asyncio.sleep(0.05)  # a further read, if there is one, would come at once
            origin.go.set()
            await asyncio.gather(*loading)
            more, still = _sent(client)
    assert origin.calls == 1
    # Of the loading instance: its store and, if it came with the others, its read and its lease. The store's script is
    # counted as nothing, because it runs no GET. The server also reads what this test asks, in two writes.
    own_commands, own_writes = (0, 1) if late else (3, 3)
    return (more - commands - own_commands) / WAITING, (still - reads - own_writes - 2) / WAITING


async def _asked(ask: Ask, cache: Any, origin: Origin) -> None:
    await ask(cache, origin)


async def _one(cache: Any, origin: Origin) -> None:
    assert await cache.get_or_set("k", origin.load) == "v"


async def _many(cache: Any, origin: Origin) -> None:
    assert await cache.get_or_set_many(["k"], origin.load_many) == {"k": "v"}


@pytest.mark.parametrize("face", FACES)
def test_instances_that_come_together_send_five_commands_each_in_three_writes(
    face: str, server: Server, prefix: str
) -> None:
    commands, writes = run(_cost(server, prefix, FACES[face], _one, late=False))
    assert commands <= 5
    assert writes <= 3.2


@pytest.mark.parametrize("face", FACES)
def test_an_instance_that_comes_during_a_load_reads_twice(face: str, server: Server, prefix: str) -> None:
    commands, writes = run(_cost(server, prefix, FACES[face], _one, late=True))
    assert commands <= 4
    assert writes <= 2.2


@pytest.mark.parametrize("late", [True, False])
def test_a_batch_of_one_key_costs_one_read_more(late: bool, server: Server, prefix: str) -> None:
    commands, _ = run(_cost(server, prefix, Cache, _many, late=late))
    assert commands <= (6 if late else 7) + 2 / WAITING  # the loading instance reads once more, too


def test_twin_a_watch_that_begins_with_a_second_read_costs_more(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reads, "follow", lambda *_: None)
    assert run(_cost(server, prefix, Cache, _one, late=True))[0] > 5
