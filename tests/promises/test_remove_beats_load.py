"""Promise 2: a call that begins after a removal was acknowledged never gets the value of a load begun before it.

The shared cache and the removing instance hold this at once, the near caches of the rest within ``max_staleness``.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fleetcache import Cache
from tests.promises.plain import Plain
from tests.promises.variants import Variant, deaf, fills_late, ours, stores_anyway, waits_to_be_told
from tests.support.drivers import commands_of
from tests.support.proxy import Proxy
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

BOUND = 0.3  # max_staleness, in seconds
TAG = "people"

Removal = Callable[[Any, str], Awaitable[object]]

REMOVALS: dict[str, Removal] = {
    "delete": lambda cache, key: cache.delete(key),
    "set": lambda cache, key: cache.set(key, "new", tags=(TAG,)),
    "invalidate_tags": lambda cache, _key: cache.invalidate_tags(TAG),
    "clear": lambda cache, _key: cache.clear(),
}

_numbers = itertools.count()


@asynccontextmanager
async def instances(variant: Variant, server: Server, prefix: str, **settings: Any) -> AsyncIterator[list[Any]]:
    """Three instances, on keys that no other scene uses."""
    settings = {"prefix": f"{prefix}-{next(_numbers)}", "operation_timeout": "5s", "max_staleness": BOUND} | settings
    caches = [variant(server.url, **settings) for _ in range(3)]
    for cache in caches:
        await cache.open()
    try:
        yield caches
    finally:
        for cache in caches:
            await cache.close()


class Source:
    """The source of values: it tells when a loader asks, and holds its first answer back."""

    def __init__(self) -> None:
        self.value = "old"
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def slow(self) -> str:
        value = self.value
        self.asked.set()
        await self.go.wait()
        return value

    async def quick(self) -> str:
        return self.value


async def while_loading(caches: list[Any], remove: Removal, remover: int) -> int:
    """Count old answers to calls that began after a removal by ``caches[remover]`` while ``caches[0]`` was loading."""
    source = Source()
    doomed = asyncio.ensure_future(caches[0].get_or_set("key", source.slow, tags=(TAG,)))
    await source.asked.wait()
    source.value = "new"
    await remove(caches[remover], "key")
    # The loading instance hears of a foreign removal by a push, so it has until the bound.
    prompt = [cache for cache in caches if cache is caches[remover] or cache is not caches[0]]
    calls = [asyncio.ensure_future(cache.get_or_set("key", source.quick, tags=(TAG,))) for cache in prompt]
    await asyncio.sleep(BOUND if remover else 0)
    calls += [asyncio.ensure_future(cache.get_or_set("key", source.quick, tags=(TAG,))) for cache in caches]
    await asyncio.sleep(0.02)  # each call waits, or has its answer
    source.go.set()
    answers = await asyncio.gather(*calls)
    await doomed
    for cache in caches * 2:  # a late store has arrived by now
        answers += [await cache.get("key"), await cache.get_or_set("key", source.quick, tags=(TAG,))]
    return answers.count("old")


async def removals_while_loading(variant: Variant, server: Server, prefix: str) -> dict[str, int]:
    async def scene(name: str, remover: int) -> tuple[str, int]:
        async with instances(variant, server, prefix) as caches:
            return f"{name} by {remover}", await while_loading(caches, REMOVALS[name], remover)

    return dict(await asyncio.gather(*(scene(name, remover) for name in REMOVALS for remover in (0, 1))))


def test_a_removal_beats_a_load_that_runs(any_server: Server, prefix: str) -> None:
    violations = run(removals_while_loading(ours, any_server, prefix))
    assert violations == dict.fromkeys(violations, 0)


def test_a_plain_cache_serves_what_was_removed(one_server: Server, prefix: str) -> None:
    def plain(_url: str, **settings: Any) -> Any:
        return Plain(one_server, settings["prefix"])

    violations = run(removals_while_loading(plain, one_server, prefix))
    assert all(violations.values()), violations


def test_storing_without_a_comparison_serves_what_was_removed(one_server: Server, prefix: str) -> None:
    violations = run(removals_while_loading(stores_anyway, one_server, prefix))
    assert violations["delete by 0"] > 0
    assert violations["delete by 1"] > 0
    assert violations["set by 1"] > 0


async def held_in_near(variant: Variant, server: Server, prefix: str) -> dict[str, int]:
    """Count near's old answers per verb: of the removing instance at once, of the rest after the bound."""

    async def scene(name: str) -> dict[str, int]:
        async with instances(variant, server, prefix) as caches:
            source = Source()
            for cache in caches:
                await cache.get_or_set("key", source.quick, tags=(TAG,))
                assert cache.peek("key", type=str) == "old"
            source.value = "new"
            remover, *others = caches
            await REMOVALS[name](remover, "key")
            at_once = [remover.peek("key", type=str), await remover.get_or_set("key", source.quick, tags=(TAG,))]
            await asyncio.sleep(BOUND)
            later = [await cache.get_or_set("key", source.quick, tags=(TAG,)) for cache in others]
            return {f"{name} here": at_once.count("old"), f"{name} there": later.count("old")}

    found: dict[str, int] = {}
    for each in await asyncio.gather(*(scene(name) for name in REMOVALS)):
        found |= each
    return found


def test_near_forgets_what_was_removed(any_server: Server, prefix: str) -> None:
    violations = run(held_in_near(ours, any_server, prefix))
    assert violations == dict.fromkeys(violations, 0)


def test_near_that_does_not_listen_keeps_what_others_removed(one_server: Server, prefix: str) -> None:
    violations = run(held_in_near(deaf, one_server, prefix))
    assert all(violations[f"{name} there"] for name in REMOVALS), violations


def test_near_that_waits_for_the_push_keeps_what_it_removed_itself(one_server: Server, prefix: str) -> None:
    violations = run(held_in_near(waits_to_be_told, one_server, prefix))
    assert all(violations[f"{name} here"] for name in ("delete", "invalidate_tags", "clear")), violations


async def storm(variant: Variant, server: Server, prefix: str) -> int:
    """Count the keys that an instance still answers with a superseded value after the bound."""
    order = random.Random(7)
    source = {f"k{number}": 0 for number in range(150)}
    over = asyncio.Event()

    async def load(key: str) -> int:
        value = source[key]
        await asyncio.sleep(0)
        return value

    async def read(cache: Cache) -> None:
        while not over.is_set():
            for key in order.sample(list(source), 10):
                await cache.get_or_set(key, partial(load, key), type=int)
            await asyncio.sleep(0)

    async def change(cache: Cache) -> None:
        for _ in range(60):
            keys = order.sample(list(source), 5)
            for key in keys:
                source[key] += 1
            await cache.delete_many(keys)

    async with instances(variant, server, prefix) as caches:
        readers = [asyncio.ensure_future(read(cache)) for cache in caches for _ in range(4)]
        await asyncio.gather(*(change(cache) for cache in caches))
        over.set()
        await asyncio.gather(*readers)
        await asyncio.sleep(BOUND)
        return sum([await cache.get(key, source[key], type=int) != source[key] for key in source for cache in caches])


def test_nothing_superseded_stays_after_a_storm(server: Server, prefix: str) -> None:
    assert run(storm(ours, server, prefix)) == 0


def test_a_storm_leaves_superseded_values_with_who_does_not_listen(one_server: Server, prefix: str) -> None:
    assert run(storm(deaf, one_server, prefix)) > 0


async def reply_and_push_together(variant: Variant, server: Server, prefix: str) -> int:
    """Count superseded values in near after replies arrived together with the pushes that outdated them."""
    keys = [f"k{number}" for number in range(10)]
    settings: dict[str, Any] = {"prefix": prefix, "operation_timeout": "5s", "max_staleness": "2s"}
    with Proxy(server) as proxy:
        async with variant(proxy.url, **settings) as reader, Cache(server.url, **settings) as writer:
            await writer.set_many(dict.fromkeys(keys, "old"), ttl="1m")
            proxy.stall("down")
            with server.client() as client:
                before = commands_of(client)["get"]
                reads = asyncio.gather(*(reader.get(key, type=str) for key in keys))
                await eventually(lambda: commands_of(client)["get"] >= before + len(keys))
                await writer.delete_many(keys, strict=True)
                client("PING")  # the server has written its pushes once it has answered a later command
            proxy.release("down")
            _compute_until(lambda: proxy.held("down") == 0)
            assert await reads == ["old"] * len(keys)  # asked before the removal
            await asyncio.sleep(0.01)
            return sum(reader.peek(key, type=str) == "old" for key in keys)


def _compute_until(done: Callable[[], bool]) -> None:
    """Keep the event loop busy, so that all bytes are in the socket before the loop reads it."""
    wait_until(done)


def test_a_push_in_one_piece_with_its_reply_is_heeded(server: Server, prefix: str) -> None:
    assert run(reply_and_push_together(ours, server, prefix)) == 0


def test_filling_near_after_the_frames_were_parsed_keeps_what_was_superseded(one_server: Server, prefix: str) -> None:
    assert run(reply_and_push_together(fills_late, one_server, prefix)) > 0
