"""A source that fails its first loads, and a fleet whose callers ask it in each way that loads."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from fleetcache import Cache
from tests.support.drivers import Driver
from tests.support.engines import engines
from tests.support.run import run
from tests.support.waiting import eventually

__all__ = [
    "MANY",
    "DownError",
    "Scene",
    "Source",
    "a_moment",
    "count_waits",
    "each_kind_and_face",
    "on_each_kind",
    "on_each_kind_and_face",
    "one",
]

MANY = 6


class DownError(Exception):
    """The source's error; its argument names the caller."""


class Source:
    """A source whose first loads fail.

    Args:
        fails: The number of loads that fail.
        hold: Ends when the load of this number, counted from 1, may end.
    """

    def __init__(self, fails: int, hold: Callable[[int], Awaitable[Any]]) -> None:
        self.fails, self._hold = fails, hold
        self.loads = self.running = self.most = 0
        self.running_of: Counter[tuple[int, str]] = Counter()
        self.most_of: Counter[tuple[int, str]] = Counter()  # by caller and key: the most loads at once

    async def load(self, caller: int, keys: Iterable[str] = ("k",)) -> str:
        self.loads += 1
        number = self.loads
        self.running += 1
        self.most = max(self.most, self.running)
        of_each = [(caller, key) for key in keys]
        for of in of_each:
            self.running_of[of] += 1
            self.most_of[of] = max(self.most_of[of], self.running_of[of])
        try:
            await self._hold(number)
        finally:
            self.running -= 1
            self.running_of.subtract(of_each)
        if number <= self.fails:
            raise DownError(caller)
        return f"value {number}"

    def loader(self, caller: int) -> Callable[[], Awaitable[str]]:
        async def load() -> str:
            return await self.load(caller)

        return load

    def loader_of_many(self, caller: int) -> Callable[[list[str]], Awaitable[dict[str, str]]]:
        async def load(keys: list[str]) -> dict[str, str]:
            return dict.fromkeys(keys, await self.load(caller, keys))

        return load


async def nothing(_cache: Cache) -> None:
    """Leave the key absent."""


async def unusable(cache: Cache) -> None:
    """Store entries under tags that are no longer current."""
    await cache.set_many({"k": "old", "l": "old"}, tags=("t",))
    await cache.invalidate_tags("t")


async def fresh(cache: Cache) -> None:
    await cache.set("k", "old", ttl="1h")


async def one(cache: Cache, source: Source, caller: int) -> Any:
    return await cache.get_or_set("k", source.loader(caller), tags=("t",), ttl="1h")


async def anew(cache: Cache, source: Source, caller: int) -> Any:
    return await cache.refresh("k", source.loader(caller), tags=("t",), ttl="1h")


async def two(cache: Cache, source: Source, caller: int) -> Any:
    return (await cache.get_or_set_many(["k", "l"], source.loader_of_many(caller), tags=("t",), ttl="1h"))["k"]


KINDS = {
    "lease": (nothing, one),
    "claim": (unusable, one),
    "refresh": (nothing, anew),
    "refresh of an entry": (fresh, anew),
    "batch": (nothing, two),
    "batch of claims": (unusable, two),
}
FACES = ("", " on threads")


def _on_servers(names: str, values: Iterable[tuple[str, ...]]) -> pytest.MarkDecorator:
    """Run a test once with each of the values, on one server and the other in turn."""
    servers = itertools.cycle(f"{engine}-tcp" for engine in engines())
    sets = [(*value, server) for value, server in zip(values, servers, strict=False)]
    return pytest.mark.parametrize((*names.split(), "server"), sets, indirect=["server"])


def each_kind_and_face(*kinds: str) -> pytest.MarkDecorator:
    """Run a test with each kind in each face: each kind, and each face, on both servers."""
    chosen = kinds or tuple(KINDS)
    pairs = [(kind, FACES[(turn + number) % 2]) for number, kind in enumerate(chosen) for turn in range(2)]
    return _on_servers("kind face", pairs)


on_each_kind = _on_servers("kind", [(kind,) for kind in KINDS])
on_each_kind_and_face = each_kind_and_face()


async def a_moment(_number: int) -> None:
    await asyncio.sleep(0.05)


class Scene:
    """Caches of one fleet and a source."""

    def __init__(self, remote: Driver, kind: str, face: str = "") -> None:
        self.remote = Driver(remote.variant + face, remote.server, remote.prefix)
        self.prepare, self.ask = KINDS[kind]
        self.caches: list[Cache] = []
        self.source = Source(0, a_moment)

    def play(self, body: Callable[["Scene"], Awaitable[None]]) -> None:
        async def main() -> None:
            try:
                self.caches = [self.remote.cache() for _ in range(MANY)]
                for cache in self.caches:
                    await cache.__aenter__()
                    await cache.get("warm")
                await self.prepare(self.caches[0])
                await body(self)
            finally:
                for cache in self.caches:
                    await cache.__aexit__(None, None, None)

        run(main())

    async def ask_all(self) -> list[Any]:
        calls = (self.ask(cache, self.source, caller) for caller, cache in enumerate(self.caches))
        return await asyncio.gather(*calls, return_exceptions=True)


def count_waits(scene: Scene) -> Callable[[int], Awaitable[None]]:
    """Return a ``hold``: the first two loads wait for the callers that wait for them, later loads for each other."""
    before = 0

    def waits() -> int:
        return sum(cache.stats().waits for cache in scene.caches)

    async def hold(number: int) -> None:
        nonlocal before
        if number > 2 and scene.source.fails < 2:
            return
        if number > 2:
            await eventually(lambda: scene.source.running == MANY - 2 or scene.source.loads == MANY)
            return
        await eventually(lambda: waits() - before >= MANY - number)
        before = waits()

    return hold
