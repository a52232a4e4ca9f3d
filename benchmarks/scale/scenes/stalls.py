"""A server that stops for a moment longer than one operation may take, while the whole fleet asks for one hot key."""

import asyncio
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.scale.lab import PREFIX, Lab
from benchmarks.scale.scene import Bound, Scene
from fleetcache import Cache, SyncCache
from tests.support.timing import kept_waiting

INSTANCES = 200
TIMEOUT = 0.25  # the default of CACHE_OPERATION_TIMEOUT
# A server looks at the end of a pause in its timer, which runs ten times a second by default. It would pause for up to
# 100 ms longer than told.
PUNCTUAL = ("--hz", "500")
# Threads share an interpreter, and each instance has two: so the instances are spread over some processes.
PROCESSES = 4


def on_tasks(lab: Lab, pause: int) -> Mapping[str, float]:
    """Let ``Cache`` instances ask while the server pauses for ``pause`` milliseconds."""
    return asyncio.run(_on_tasks(lab, pause))


async def _on_tasks(lab: Lab, pause: int) -> Mapping[str, float]:
    server, loads, times = lab.server(*PUNCTUAL), 0, []

    async def load() -> str:
        nonlocal loads
        loads += 1
        return "v"

    async def ask(cache: Cache) -> None:
        began = _now()
        assert await cache.get_or_set("hot", load) == "v"
        times.append(_now() - began)

    async with lab.fleet(server, INSTANCES) as caches:
        await asyncio.to_thread(_store, server.url)
        with server.client() as admin:
            admin("CLIENT", "PAUSE", pause, "ALL")
            await asyncio.gather(*(ask(cache) for cache in caches))
        return _figures(loads, times)


def on_threads(lab: Lab, pause: int) -> Mapping[str, float]:
    """The same for ``SyncCache``."""
    server = lab.server(*PUNCTUAL)
    workers = [lab.worker(_threads, server.url, INSTANCES // PROCESSES) for _ in range(PROCESSES)]
    for worker in workers:
        assert worker.receive() == "online"
    _store(server.url)
    with server.client() as admin:
        admin("CLIENT", "PAUSE", pause, "ALL")
    for worker in workers:
        worker.send("ask")
    found = [worker.receive() for worker in workers]
    return _figures(sum(loads for loads, _ in found), [took for _, times in found for took in times])


def _store(url: str) -> None:
    """Store the hot key, on a busy machine too."""
    with SyncCache(url, prefix=PREFIX, operation_timeout="10s") as patient:
        patient.set("hot", "v", strict=True)


def _threads(pipe: Connection, url: str, count: int) -> None:
    """Open some instances, and let a thread of each ask for the key at the word of the scene."""
    caches = [SyncCache(url, prefix=PREFIX) for _ in range(count)]
    for cache in caches:
        cache.open()
    while any(cache.stats().link != "online" for cache in caches):
        time.sleep(0.01)
    pipe.send("online")
    loads: list[int] = []
    times: list[float] = []

    def load() -> str:
        loads.append(1)
        return "v"

    def ask(cache: SyncCache) -> None:
        go.wait()
        began = _now()
        assert cache.get_or_set("hot", load) == "v"
        times.append(_now() - began)

    go = threading.Event()
    threads = [threading.Thread(target=ask, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    pipe.recv()
    go.set()
    for thread in threads:
        thread.join()
    pipe.send((len(loads), times))
    for cache in caches:
        cache.close()


def _now() -> float:
    """Return the time without that in which this thread was ready and another had the processor: no cost of a call."""
    return time.monotonic() - kept_waiting()


def _figures(loads: int, times: list[float]) -> dict[str, Any]:
    return {"loads": loads, "longest call": round(max(times), 3)}


def _scene(face: str, measure: Any, pause: int) -> Scene:
    return Scene(
        f"stall-{pause}-{face}",
        f"{INSTANCES} `{face}` ask for one key that the server has, and it pauses {pause} ms",
        (Bound("loads", INSTANCES / 10), Bound("longest call", 2 * TIMEOUT + 0.1, "s")),
        lambda lab: measure(lab, pause),
    )


SCENES = (
    _scene("Cache", on_tasks, 400),
    _scene("Cache", on_tasks, 450),
    _scene("SyncCache", on_threads, 400),
    _scene("SyncCache", on_threads, 450),
)
