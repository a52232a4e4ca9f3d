"""A near cache of 400,000 entries loses all or many of them: the CPU that one turn of a loop or of a thread takes.

The near cache is filled directly, with entries as a server confirms them, because 400,000 writes would take minutes.
The removals are those of users and of the server.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.scale.lab import PREFIX, Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache, SyncCache
from fleetcache.near.store import NearEntry
from tests.support.servers import Server

ENTRIES = 400_000
SETTINGS: dict[str, Any] = {
    "prefix": PREFIX,
    "near_max_items": 2 * ENTRIES,
    "near_max_bytes": 2**30,
    "offline_ttl": "1h",
    "max_staleness": "1m",
}
STALL, FREED = 2.0, 10.0  # milliseconds of CPU, seconds


def _fill(near: Any, *, unconfirmed: bool = False) -> None:
    """Fill a near cache. Half of the entries are unconfirmed, if any are."""
    for number in range(ENTRIES):
        near.put(
            f"key:{number}",
            NearEntry(
                f"{number:0100d}",
                codec=1,
                declared=str,
                fresh_until=1e18,
                stale_until=1e18,
                unconfirmed=unconfirmed and number % 2 > 0,
                tags=("*", "group"),
                cost=0.0,
                stamp=b"V" + number.to_bytes(16, "big"),
                size=149,
            ),
        )


def _forget_one_by_one(near: Any) -> float:
    """Forget enough keys for vacant places to be taken out; return the most milliseconds of CPU that one takes."""
    most = 0.0
    for number in range(0, ENTRIES, 4):
        began = time.thread_time()
        near.forget(f"key:{number}")
        most = max(most, time.thread_time() - began)
    return 1000 * most


def _note(figures: dict[str, float], name: str, value: float) -> None:
    """Note the largest value of a figure."""
    figures[name] = max(figures.get(name, 0.0), round(value, 2))


class _Turns:
    """Measures each turn of the running loop, by a callback in every turn."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.most = self._last = 0.0
        self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self.most = max(self.most, time.thread_time() - self._last)
        self._loop.call_soon(self._tick)
        self._last = time.thread_time()

    async def start(self) -> None:
        """Measure from the next turn on."""
        await asyncio.sleep(0)
        self.most, self._last = 0.0, time.thread_time()


def tasks(lab: Lab) -> Mapping[str, float]:
    """Measure the turns of an event loop."""
    gc.disable()
    return asyncio.run(_tasks(lab.server()))


async def _tasks(server: Server) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    async with Cache(server.url, **SETTINGS) as cache:
        near, turns = cache._engine.near, _Turns()  # noqa: SLF001 - see above

        async def measure(name: str, remove: Callable[[], Any], left: int = 0) -> None:
            await cache.set("first", 1)  # makes a version of the tag `*`, which the last removal took away
            near.start_over()
            _fill(near, unconfirmed=left > 0)
            await turns.start()
            removed = remove()
            if removed is not None:
                await removed
            while cache.stats().near_items > left:  # noqa: ASYNC110 - a cache sets no event for it
                await asyncio.sleep(0)
            _note(figures, f"{name}: longest turn", 1000 * turns.most)
            began = time.monotonic()
            await turns.start()
            while near.bury(0):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
            _note(figures, "all buried after", time.monotonic() - began)
            _note(figures, "slice of a burial", 1000 * turns.most)
            if len(near) != left:
                raise AssertionError(f"{name} left {len(near)} entries of {left}")

        await measure("invalidate_tags", lambda: cache.invalidate_tags("group"))
        await measure("clear", cache.clear)
        await measure("back online", lambda: _stall(cache, server), left=ENTRIES // 2)
        await measure("flush message", server.flush)
        near.start_over()
        _fill(near)
        figures["forget"] = round(_forget_one_by_one(near), 2)
    return figures


async def _stall(cache: Cache, server: Server) -> None:
    server.freeze()
    await cache.get("absent")
    server.thaw()


def threads(lab: Lab) -> Mapping[str, float]:
    """Measure the removals of a cache for threads, and the turns of its link thread that bury."""
    gc.disable()
    server, figures = lab.server(), dict[str, float]()
    with SyncCache(server.url, **SETTINGS) as cache:
        engine: Any = cache._engine  # noqa: SLF001 - see above
        near, burial = engine.near, engine.burial
        most: dict[str, float] = {}

        def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any) -> Any:
                began = time.thread_time()
                try:
                    return call(*arguments)
                finally:
                    most[name] = max(most.get(name, 0.0), 1000 * (time.thread_time() - began))

            return called

        burial._ring = timed("slice", burial._ring)  # noqa: SLF001 - the turn of the link thread that buries
        for name in ("clear", "forget_tag", "forget_unconfirmed"):
            setattr(near, name, timed("removal", getattr(near, name)))

        def measure(name: str, remove: Callable[[], Any], left: int = 0) -> None:
            cache.set("first", 1)  # as above
            with engine.monitor.locked():
                near.start_over()
                _fill(near, unconfirmed=left > 0)
            most.clear()
            timed("removal", remove)()
            _wait(lambda: cache.stats().near_items <= left)
            _note(figures, f"{name}: longest turn", most["removal"])
            began = time.monotonic()
            _wait(lambda: not near.bury(0))
            _note(figures, "all buried after", time.monotonic() - began)
            _note(figures, "slice of a burial", most["slice"])
            if len(near) != left:
                raise AssertionError(f"{name} left {len(near)} entries of {left}")

        def stall() -> None:
            server.freeze()
            cache.get("absent")
            server.thaw()
            cache.get("absent")

        measure("invalidate_tags", lambda: cache.invalidate_tags("group"))
        measure("clear", cache.clear)
        measure("back online", stall, left=ENTRIES // 2)
        measure("flush message", server.flush)
        with engine.monitor.locked():
            near.start_over()
            _fill(near)
            figures["forget"] = round(_forget_one_by_one(near), 2)
    return figures


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


BOUNDS = (
    *(
        Bound(f"{name}: longest turn", STALL, "ms")
        for name in ("invalidate_tags", "clear", "flush message", "back online")
    ),
    Bound("forget", STALL, "ms"),
    Bound("slice of a burial", STALL, "ms"),
    Bound("all buried after", FREED, "s"),
)
SCENES = (
    Scene("removals", "tasks lose a near cache of 400,000 entries", BOUNDS, tasks, patience=300.0),
    Scene("removals-threads", "threads lose a near cache of 400,000 entries", BOUNDS, threads, patience=300.0),
)
