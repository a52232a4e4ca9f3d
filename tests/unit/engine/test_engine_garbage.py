"""No call leaves reference cycles: the memory that a call used is free when it ends, not at a full collection.

A value in a cycle stays in memory until the collector looks at the oldest objects. A process that holds much does that
rarely, and does nothing else meanwhile.
"""

import asyncio
import gc
import inspect
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.policy.outcome import Outcome
from tests.support.run import run
from tests.support.servers import Server

CALLS = 20
# Patient enough for a busy machine, and a heartbeat in each measurement.
SETTINGS: dict[str, Any] = {"operation_timeout": "5s", "max_staleness": "10s"}


class Loaders:
    """The loaders of one face."""

    def __init__(self, *, plain: bool) -> None:
        self.one: Any = _one if plain else _a_one
        self.many: Any = _many if plain else _a_many
        self.fails: Any = _fails if plain else _a_fails
        self.none: Any = _many_fail if plain else _a_many_fail


def _one() -> str:
    return "v"


def _many(keys: list[str]) -> dict[str, str]:
    return dict.fromkeys(keys, "v")


def _fails() -> str:
    raise ValueError


def _many_fail(keys: list[str]) -> dict[str, str]:
    raise ValueError(keys)


async def _a_one() -> str:
    return _one()


async def _a_many(keys: list[str]) -> dict[str, str]:
    return _many(keys)


async def _a_fails() -> str:
    return _fails()


async def _a_many_fail(keys: list[str]) -> dict[str, str]:
    return _many_fail(keys)


VERBS: dict[str, Callable[[Any, Loaders, int], Any]] = {
    "set": lambda cache, _load, n: cache.set(f"s{n}", "v"),
    "set with tags": lambda cache, _load, n: cache.set(f"s{n}", "v", tags=("t",)),
    "set_many": lambda cache, _load, n: cache.set_many({f"s{n}:{m}": "v" for m in range(5)}),
    "add": lambda cache, _load, n: cache.add(f"a{n}", "v"),
    "incr": lambda cache, _load, _n: cache.incr("count"),
    "touch": lambda cache, _load, _n: cache.touch("there", 60),
    "delete": lambda cache, _load, n: cache.delete(f"s{n}"),
    "delete_many": lambda cache, _load, n: cache.delete_many([f"s{n}:{m}" for m in range(5)]),
    "invalidate_tags": lambda cache, _load, _n: cache.invalidate_tags("t"),
    "get: hit": lambda cache, _load, _n: cache.get("there"),
    "get: miss": lambda cache, _load, _n: cache.get("nothing"),
    "get_many": lambda cache, _load, _n: cache.get_many(["there", "nothing"]),
    "lookup": lambda cache, _load, _n: cache.lookup("there"),
    "get_or_set: hit": lambda cache, load, _n: cache.get_or_set("there", load.one),
    "get_or_set: miss": lambda cache, load, n: cache.get_or_set(f"m{n}", load.one),
    "get_or_set: miss with tags": lambda cache, load, n: cache.get_or_set(f"n{n}", load.one, tags=("t",)),
    "get_or_set: the load fails": lambda cache, load, n: cache.get_or_set(f"f{n}", load.fails),
    "get_or_set_many: miss": lambda cache, load, n: cache.get_or_set_many([f"m{n}:{m}" for m in range(5)], load.many),
    "get_or_set_many: the load fails": lambda cache, load, n: cache.get_or_set_many([f"f{n}:1", f"f{n}:2"], load.none),
    "refresh": lambda cache, load, _n: cache.refresh("there", load.one),
    "refresh: the load fails": lambda cache, load, _n: cache.refresh("there", load.fails),
    "health": lambda cache, _load, _n: cache.health(),
}


async def _garbage(call: Callable[[int], Any]) -> Counter[str]:
    """Return the kinds of the objects that many calls leave to the collector."""
    await _finished(call, -1)
    gc.collect()
    gc.disable()
    try:
        for number in range(CALLS):
            await _finished(call, number)
        await asyncio.sleep(0.01)  # the last task may end after its caller has the answer
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return Counter(type(found).__qualname__ for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _finished(call: Callable[[int], Any], number: int) -> None:
    with suppress(ValueError):
        answer = call(number)
        if inspect.isawaitable(answer):
            await answer


async def _on_tasks(server: Server, prefix: str, verb: str) -> Counter[str]:
    load = Loaders(plain=False)
    async with Cache(server.url, prefix=prefix, **SETTINGS) as cache:
        await cache.set("there", "v")
        return await _garbage(lambda number: VERBS[verb](cache, load, number))


async def _on_threads(server: Server, prefix: str, verb: str) -> Counter[str]:
    load = Loaders(plain=True)
    with ThreadPoolExecutor(1) as thread:
        cache = SyncCache(server.url, prefix=prefix, **SETTINGS)
        thread.submit(cache.set, "there", "v").result()

        def calls() -> Counter[str]:
            return asyncio.run(_garbage(lambda number: VERBS[verb](cache, load, number)))

        found = thread.submit(calls).result()
        thread.submit(cache.close).result()
        return found


async def _on_tasks_of_a_cache_for_threads(server: Server, prefix: str, verb: str) -> Counter[str]:
    load = Loaders(plain=False)
    cache = SyncCache(server.url, prefix=prefix, **SETTINGS)
    await cache.aio.set("there", "v")
    found = await _garbage(lambda number: VERBS[verb](cache.aio, load, number))
    await asyncio.to_thread(cache.close)
    return found


async def _on_threads_of_a_cache_for_tasks(server: Server, prefix: str, verb: str) -> Counter[str]:
    load = Loaders(plain=True)
    async with Cache(server.url, prefix=prefix, **SETTINGS) as cache:
        await cache.set("there", "v")
        call = VERBS[verb]

        def in_thread(number: int) -> None:
            with suppress(ValueError):
                call(cache.sync, load, number)

        return await _garbage(lambda number: asyncio.to_thread(in_thread, number))


FACES: dict[str, Callable[[Server, str, str], Coroutine[Any, Any, Counter[str]]]] = {
    "Cache": _on_tasks,
    "SyncCache": _on_threads,
    "SyncCache.aio": _on_tasks_of_a_cache_for_threads,
    "Cache.sync": _on_threads_of_a_cache_for_tasks,
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("face", FACES)
def test_a_call_leaves_nothing_to_the_collector(face: str, verb: str, one_server: Server, prefix: str) -> None:
    found = run(FACES[face](one_server, prefix, verb))
    assert found.total() < CALLS, f"{found.total() / CALLS} objects a call: {found}"


def test_twin_an_outcome_that_keeps_its_error_keeps_the_callers_frames(
    one_server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outcome, "drop_error", lambda _self: None)
    found = run(_on_tasks(one_server, prefix, "get_or_set: the load fails"))
    assert found.total() > 40 * CALLS
    assert found["frame"] > 5 * CALLS
