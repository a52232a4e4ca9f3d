"""The story of docs/why.md, measured: three instances before an origin with a limit, cached in three ways.

    python benchmarks/story.py             # half a minute
    python benchmarks/story.py --write     # and put the table into docs/why.md

The instances are three objects in one process, the server is a real Valkey. Needs redis-py: ``make story``.
"""

import argparse
import asyncio
import logging
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # the folder of this file is no place to import from, its parent is

from benchmarks.table import BEGIN, END  # noqa: E402 - needs the line above
from fleetcache import Cache  # noqa: E402 - as above
from tests.support.servers import Server  # noqa: E402 - as above

PAGE = ROOT / "docs" / "why.md"
INSTANCES = 3
REQUESTS = 3_000
ADDRESSES = 400  # that the requests are drawn from
DISTINCT = 352  # addresses drawn with this seed
SEED = 7
ORIGIN_TAKES = 0.02  # seconds, as with a service in the same country
LIMIT = 45  # calls a minute, as with a free plan of such services
PATIENCE = 10.0  # seconds; no browser waits longer


class BusyError(Exception):
    """The origin has no calls left."""


class Origin:
    """Counts its calls; with a limit it refuses more."""

    def __init__(self) -> None:
        self.calls, self.limit, self.place = 0, 10**9, "DE"

    async def locate(self, _ip: str) -> str:
        """Answer after a while."""
        self.calls += 1
        if self.calls > self.limit:
            raise BusyError
        place = self.place
        await asyncio.sleep(ORIGIN_TAKES)
        return place

    def begin(self, limit: int = 10**9) -> None:
        """Count from here."""
        self.calls, self.limit = 0, limit


class Way(Protocol):
    """A way in which one instance answers."""

    async def locate(self, ip: str) -> str:
        """Answer."""
        ...

    async def forget(self, ip: str) -> None:
        """Forget an address, after a change at the origin."""
        ...


class Own:
    """A dict in each instance."""

    def __init__(self, origin: Origin) -> None:
        self.known: dict[str, str] = {}
        self.origin = origin

    async def locate(self, ip: str) -> str:
        """Answer from the dict, else ask the origin."""
        if ip not in self.known:
            self.known[ip] = await self.origin.locate(ip)
        return self.known[ip]

    async def forget(self, ip: str) -> None:
        """Forget in this instance; no other one hears of it."""
        self.known.pop(ip, None)


class Ours:
    """fleetcache."""

    def __init__(self, cache: Cache, origin: Origin) -> None:
        @cache.cached(ttl="10m", key="geo:{ip}")
        async def locate(ip: str) -> str:
            return await origin.locate(ip)

        self.locate = locate

    async def forget(self, ip: str) -> None:
        """Forget everywhere."""
        await self.locate.invalidate(ip)


# Makes one instance; its connections are closed with the stack.
Maker = Callable[[str, Origin, AsyncExitStack], Awaitable[Way]]


async def own(_url: str, origin: Origin, _stack: AsyncExitStack) -> Way:
    """Make an instance with a dict."""
    return Own(origin)


async def by_hand(url: str, origin: Origin, stack: AsyncExitStack) -> Way:
    """Make an instance that uses redis-py with its defaults."""
    from redis.asyncio import Redis  # noqa: PLC0415 - only whoever runs the story has it

    from benchmarks.by_hand import ByHand  # noqa: PLC0415 - as above

    redis = Redis.from_url(url)
    stack.push_async_callback(redis.aclose)
    return ByHand(redis, origin)


async def ours(url: str, origin: Origin, stack: AsyncExitStack) -> Way:
    """Make an instance that uses fleetcache."""
    return Ours(await stack.enter_async_context(Cache(url, prefix="story")), origin)


WAYS: dict[str, Maker] = {"a dict in each": own, "Redis by hand": by_hand, "fleetcache": ours}


class Scene:
    """Three instances, a server with a snapshot to come back from, and the origin."""

    def __init__(self, server: Server, origin: Origin, instances: list[Way]) -> None:
        self.server, self.origin, self.instances = server, origin, instances
        ranks = range(1, ADDRESSES + 1)
        drawn = random.Random(SEED).choices(ranks, [1 / rank for rank in ranks], k=REQUESTS)  # a Zipf law
        assert len(set(drawn)) == DISTINCT
        self.addresses = [f"198.51.{number // 256}.{number % 256}" for number in drawn]

    async def ask(self, addresses: Iterable[str]) -> int:
        """Ask the instances in turn, fifty requests at once; return the number of failures."""
        gate, failed = asyncio.Semaphore(50), 0

        async def one(number: int, ip: str) -> None:
            nonlocal failed
            async with gate:
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self.instances[number % INSTANCES].locate(ip)
                except (BusyError, TimeoutError):
                    failed += 1

        await asyncio.gather(*(one(number, ip) for number, ip in enumerate(addresses)))
        return failed

    async def answers(self, ip: str) -> list[str]:
        """Return each instance's answer."""
        return [await instance.locate(ip) for instance in self.instances]


async def calls(scene: Scene) -> str:
    """Send real traffic to an empty cache."""
    await scene.ask(scene.addresses)
    return f"{scene.origin.calls:,}"


async def crowd(scene: Scene) -> str:
    """Let all instances ask for the same new address at once."""
    await asyncio.gather(*(one.locate("203.0.113.1") for one in scene.instances for _ in range(100)))
    return f"{scene.origin.calls}"


async def cached(scene: Scene) -> str:
    """Ask for cached addresses."""
    times = []
    for ip in scene.addresses[:1000]:
        began = time.perf_counter()
        await scene.instances[0].locate(ip)
        times.append(time.perf_counter() - began)
    return f"{statistics.median(times) * 1e6:,.1f} µs"


async def change(scene: Scene) -> str:
    """Correct an address at the origin and tell one instance; return the time until the other instances answer it."""
    await scene.answers("203.0.113.2")
    scene.origin.place = "AT"
    await scene.instances[0].forget("203.0.113.2")
    began = time.perf_counter()
    while set(await scene.answers("203.0.113.2")) != {"AT"}:
        await asyncio.sleep(0)
        if time.perf_counter() - began > 1:
            return "the old one until its ttl ends"
    return f"the new one, {(time.perf_counter() - began) * 1000:.0f} ms later"


async def killed(scene: Scene) -> str:
    """Kill the server; the origin answers its calls of one minute. Each address now goes to another instance."""
    scene.server.kill()
    scene.origin.begin(LIMIT)
    failed = await scene.ask(scene.addresses[1:1001])
    return f"{failed:,} fail"


async def restart(scene: Scene) -> str:
    """Correct an address while the server is dead; it returns with its earlier snapshot."""
    scene.origin.begin()
    scene.origin.place = "BE"
    await scene.instances[0].forget("203.0.113.2")
    scene.server.restart()
    began, said = time.perf_counter(), ["AT"]
    while time.perf_counter() - began < 2:  # the promised time to be back
        await asyncio.sleep(0.1)
        said = await scene.answers("203.0.113.2")
    return f"{INSTANCES - said.count('BE')} of {INSTANCES}"


async def frozen(scene: Scene) -> str:
    """Freeze the server: it takes bytes and never answers. Ask for new addresses."""
    scene.server.freeze()
    times = []
    for number in (3, 4):
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                await scene.instances[0].locate(f"203.0.113.{number}")
            times.append(f"{(time.perf_counter() - began) * 1000:.0f} ms")
        except TimeoutError:
            times.append(f"over {PATIENCE:.0f} s")
    scene.server.thaw()
    return f"{times[0]}, then {times[1]}"


SITUATIONS: dict[str, Callable[[Scene], Awaitable[str]]] = {
    f"{REQUESTS:,} requests for {DISTINCT} addresses: calls to the origin": calls,
    "300 requests for one new address at once: calls to the origin": crowd,
    "a cached answer takes": cached,
    "an address is corrected and one instance is told: the others answer": change,
    "the server is killed, the origin allows 45 calls more: of 1,000 requests": killed,
    "corrected meanwhile, and the server is back with its older snapshot: old answers from": restart,
    "the server freezes: the next two requests for new addresses take": frozen,
}


async def told(maker: Maker, server: Server) -> list[str]:
    """Return all results of one way."""
    origin, found = Origin(), []
    async with AsyncExitStack() as stack:
        scene = Scene(server, origin, [await maker(server.url, origin, stack) for _ in range(INSTANCES)])
        for situation in SITUATIONS.values():
            origin.begin()
            found.append(await situation(scene))
            if situation is change:
                await scene.answers("203.0.113.2")
                with server.client() as client:
                    client("SAVE")
    return found


def main() -> int:
    """Play the story, and print the table."""
    parser = argparse.ArgumentParser(description="The story of docs/why.md, measured.")
    parser.add_argument("--write", action="store_true", help="also put the table into docs/why.md")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # outages are announced, and expected here
    columns = []
    for name, maker in WAYS.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        with Server("valkey", "tcp", save="3600 1000000") as server:
            columns.append(asyncio.run(told(maker, server)))
    rows = [
        ["", *WAYS],
        ["---"] * (len(WAYS) + 1),
        *([row, *cells] for row, *cells in zip(SITUATIONS, *columns, strict=True)),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    print(table)
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
