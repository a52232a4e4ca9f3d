"""A failing source: all callers of a fleet get their exceptions soon, and the source is asked no more than needed."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from statistics import median
from typing import Any

from benchmarks.scale.lab import Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache
from tests.support.servers import Server

__all__ = ["SCENES"]

KEY = "hot"
# The fleet runs in one process, whose event loop may lag behind: no cache may take that for a server that is away.
PATIENT: dict[str, Any] = {"operation_timeout": "5s", "connect_timeout": "10s", "max_staleness": "30s"}


class DownError(Exception):
    """The source's error; its argument names the caller."""


class Source:
    """A source whose loads take ``seconds``; the first ``fails`` of them fail."""

    def __init__(self, seconds: float, fails: float = float("inf")) -> None:
        self.seconds, self.fails = seconds, fails
        self.loads = 0
        self.running: Counter[int] = Counter()
        self.most = 0  # loads of one process at once
        self.spans: list[tuple[float, float]] = []  # when each load began and ended

    def loader(self, caller: int) -> Callable[[], Awaitable[str]]:
        """Return the loader of one process."""

        async def load() -> str:
            self.loads += 1
            number, began = self.loads, time.monotonic()
            self.running[caller] += 1
            self.most = max(self.most, self.running[caller])
            try:
                await asyncio.sleep(self.seconds)
            finally:
                self.running[caller] -= 1
                self.spans.append((began, time.monotonic()))
            if number <= self.fails:
                raise DownError(caller)
            return f"value {number}"

        return load


async def wave(caches: list[Cache], source: Source) -> tuple[list[float], int]:
    """Let all processes ask once at the same time; return how long each waited, and how many got their own error."""

    async def ask(caller: int, cache: Cache) -> tuple[float, bool]:
        began = time.monotonic()
        try:
            await cache.get_or_set(KEY, source.loader(caller))
        except DownError as error:
            return time.monotonic() - began, error.args == (caller,)
        return time.monotonic() - began, False

    told = await asyncio.gather(*(ask(caller, cache) for caller, cache in enumerate(caches)))
    return [waited for waited, _ in told], sum(own for _, own in told)


def failing(lab: Lab) -> Mapping[str, float]:
    """40 instances; each load fails after a second. The first wave finds nothing, later waves find a failed mark."""

    async def play(server: Server) -> Mapping[str, float]:
        async with lab.fleet(server, 40, **PATIENT) as caches:
            source = Source(1.0)
            onset, own = await wave(caches, source)
            later: list[float] = []
            for _ in range(3):
                waited, more = await wave(caches, source)
                later += waited
                own += more
        return {
            "median caller, onset": median(onset),
            "last caller, onset": max(onset),
            "median caller, later": median(later),
            "callers without their own exception": 4 * 40 - own,
        }

    return asyncio.run(play(lab.server()))


def failing_soon(lab: Lab) -> Mapping[str, float]:
    """200 instances; each load fails after 20 ms."""
    server = lab.server()

    async def play() -> Mapping[str, float]:
        async with lab.fleet(server, 200, **PATIENT) as caches:
            source = Source(0.02)
            with lab.spent(server) as spent:
                waited, _ = await wave(caches, source)
        return {
            "commands an instance": spent.calls / 200,
            "scripts": float(spent.commands["evalsha"]),
            "server CPU": spent.cpu,
            "loads": float(source.loads),
            "last caller": max(waited),
        }

    return asyncio.run(play())


def failing_once(lab: Lab) -> Mapping[str, float]:
    """The first load fails, the second does not."""

    async def loads(count: int, seconds: float) -> int:
        async with lab.fleet(lab.server(), count, **PATIENT) as caches:
            source = Source(seconds, fails=1)
            await wave(caches, source)
            return source.loads

    return {
        "loads, 40 instances": asyncio.run(loads(40, 1.0)),
        "loads, 200 instances": asyncio.run(loads(200, 0.02)),
    }


def ill_for_long(lab: Lab) -> Mapping[str, float]:
    """The source fails for 30 s, and 40 instances ask for one key 20 times a second each."""
    stored = 5.0

    async def play(server: Server, **options: Any) -> Source:
        async with lab.fleet(server, 40, **PATIENT) as caches:
            source = Source(0.25)
            loop = asyncio.get_running_loop()
            end = loop.time() + 30

            async def ask(caller: int, cache: Cache) -> None:
                with suppress(DownError):
                    await cache.get_or_set(KEY, source.loader(caller), **options)

            async def keep_asking(caller: int, cache: Cache) -> None:
                calls = set()
                while loop.time() < end:
                    call = asyncio.create_task(ask(caller, cache))
                    calls.add(call)
                    call.add_done_callback(calls.discard)
                    await asyncio.sleep(0.05)
                await asyncio.gather(*calls)

            await asyncio.gather(*(keep_asking(caller, cache) for caller, cache in enumerate(caches)))
        return source

    plain = asyncio.run(play(lab.server()))
    declared = asyncio.run(play(lab.server(), errors={DownError: stored}))
    spans = sorted(declared.spans)
    early = sum(began < ended + 0.9 * stored for (_, ended), (began, _) in pairwise(spans))
    return {
        "loads of a process at once": plain.most,
        "loads of a process at once, declared": declared.most,
        "loads while the error is stored": early,
        "loads": plain.loads,
        "loads, declared": declared.loads,
    }


SCENES = (
    Scene(
        "failing",
        "40 instances ask for one key whose load fails after 1 s",
        (
            Bound("median caller, onset", 3.3, "s"),
            Bound("median caller, later", 2.2, "s"),
            Bound("callers without their own exception", 0),
        ),
        failing,
    ),
    Scene(
        "failing-soon",
        "200 instances ask for one key whose load fails after 20 ms",
        (Bound("commands an instance", 20), Bound("loads", 200)),
        failing_soon,
    ),
    Scene(
        "failing-once",
        "The first load of a key fails, the second does not",
        (Bound("loads, 40 instances", 2), Bound("loads, 200 instances", 2)),
        failing_once,
    ),
    Scene(
        "ill-for-long",
        "The source fails for 30 s; 40 instances ask for one key 20 times a second each",
        (
            Bound("loads of a process at once", 1),
            Bound("loads of a process at once, declared", 1),
            Bound("loads while the error is stored", 0),
        ),
        ill_for_long,
    ),
)
