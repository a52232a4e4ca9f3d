"""A storm: signal handlers and finalizers use a cache at any line of its threads, over all verbs; in its own process.

``python -m tests.stress.storm KIND FACE URL PREFIX SECONDS`` prints its results as JSON; if a thread hangs, the
process dies with a traceback of all threads.
"""

import asyncio
import faulthandler
import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, cast

from fleetcache import Cache, Closed, CodecError, LoadCycle, SyncCache, Unavailable
from tests.support.near_store import check_sums

# A machine that is busy with other tests must not look like a hang.
HANGS_AFTER = 20
KEYS = [f"k{n}" for n in range(12)]
FINE = (Unavailable, CodecError, KeyError, LoadCycle)

Use = Callable[[Any, str], object]


def load() -> list[int]:
    return [1, 2, 3]  # a value that near does not hand out as the same object


def load_many(keys: list[str]) -> dict[str, list[int]]:
    return {key: load() for key in keys}


def claimed(cache: Any, key: str) -> None:
    claim = cache.claim(key, wait=False)
    if claim is not None:
        claim.release()


def bypassed(cache: Any, key: str) -> None:
    with cache.bypass():
        cache.get_or_set(key, load)


CALLS: list[Use] = [
    lambda cache, key: cache.get(key),
    lambda cache, key: cache.peek(key),
    lambda cache, key: cache.lookup(key),
    lambda cache, _key: cache.get_many(KEYS[:5]),
    lambda cache, key: cache.set(key, load(), tags=("t1", "t2")),
    lambda cache, key: cache.set(key, 7, strict=True),
    lambda cache, _key: cache.set_many(load_many(KEYS[5:9])),
    lambda cache, key: cache.add(key, load()),
    lambda cache, key: cache.touch(key, 5),
    lambda cache, key: cache.incr(f"n{key}"),
    lambda cache, key: cache.delete(key),
    lambda cache, key: cache.delete(key, strict=True),
    lambda cache, _key: cache.delete_many(KEYS[2:5]),
    lambda cache, _key: cache.invalidate_tags("t1"),
    lambda cache, key: cache.namespace("ns").set(key, load()),
    lambda cache, _key: cache.namespace("ns").clear(),
    lambda cache, _key: cache.clear(),
    claimed,
    lambda cache, key: cache.is_claimed(key),
    lambda cache, key: cache.explain(key),
    lambda cache, _key: cache.health(),
    lambda cache, _key: cache.status_now(),
    lambda cache, _key: cache.stats(),
]
LOADS: list[Use] = [
    lambda cache, key: cache.get_or_set(key, load, tags=("t1",)),
    lambda cache, key: cache.get_or_set(key, load, ttl="1ms", stale="1m"),
    lambda cache, _key: cache.get_or_set_many(KEYS[3:8], load_many, tags=("t2",)),
    lambda cache, key: cache.refresh(key, load),
    bypassed,
]
VERBS: list[Use] = [*CALLS, *LOADS]


def loaded(key: str) -> list[int]:
    return [*load(), len(key)]


FUNCTIONS: dict[int, Any] = {}


def function_of(cache: Any) -> Any:
    """Return a function that this cache caches, the same each time."""
    found = FUNCTIONS.get(id(cache))
    if found is None:
        found = FUNCTIONS[id(cache)] = cache.cached(key="fn:{key}", ttl="1m", tags=("t1",))(loaded)
    return found


# Of cached functions; the sync view of a ``Cache`` has none.
FUNCTION_VERBS: list[Use] = [
    lambda cache, key: function_of(cache)(key),
    lambda cache, key: function_of(cache).refresh(key),
    lambda cache, key: function_of(cache).invalidate(key),
]


class Storm:
    """Uses a cache from handlers and finalizers, and keeps the failures."""

    def __init__(self, cache: Any, verbs: list[Use], seed: int, fine: tuple[type[BaseException], ...] = FINE) -> None:
        self.cache, self._verbs, self._random, self._fine = cache, verbs, Random(seed), fine
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._busy: set[int] = set()
        self.over = False

    def use(self, verb: Use | None = None) -> None:
        """Use a verb in the current thread; never inside of another use."""
        me = threading.get_ident()
        if self.over or me in self._busy:
            return
        self._busy.add(me)
        try:
            self.seen["inside"] += self._is_inside()
            self.seen["uses"] += 1
            (verb or self._random.choice(self._verbs))(self.cache, self._random.choice(KEYS))
        except self._fine:
            pass
        except BaseException as error:  # noqa: BLE001 - told at the end
            self.wrong.append(repr(error))
        finally:
            self._busy.discard(me)

    def _is_inside(self) -> bool:
        monitor = getattr(self.cache._engine, "monitor", None)
        return monitor is not None and bool(monitor._lock._is_owned())

    def on_signal(self, *_: object) -> None:
        self.use(self._removes if self._random.random() < 0.3 else None)

    def _removes(self, cache: Any, _key: str) -> None:
        """A thread that this interrupts must not find its own removed key."""
        if threading.current_thread() is threading.main_thread() and isinstance(cache, SyncCache):
            key = f"own{self._random.randrange(4)}"
            cache.delete(key)
            if cache.peek(key) is not None or cache.get(key) is not None:
                self.wrong.append(f"{key} is there, though it was removed")


def make_finalizer(storm: Storm) -> Callable[[], object]:
    class Session:
        def __init__(self) -> None:
            self.me = self  # only the garbage collector can end it

        def __del__(self) -> None:
            storm.use()

    return Session


@contextmanager
def weather(kind: str, storm: Storm) -> Iterator[None]:
    """Send signals or collect garbage all the time."""
    make = make_finalizer(storm)
    main = threading.main_thread().ident
    assert main is not None

    def kill() -> None:
        chance = Random(2)
        while not storm.over:
            time.sleep(chance.random() * 0.001)
            signal.pthread_kill(main, signal.SIGUSR1)

    killer = threading.Thread(target=kill, daemon=True)
    if kind == "signals":
        for number in (signal.SIGALRM, signal.SIGUSR1):
            signal.signal(number, storm.on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.00073)
        killer.start()
    else:
        gc.set_threshold(60, 5, 5)
        gc.callbacks.append(lambda phase, _info: make() if phase == "start" else storm.use())
    try:
        yield
    finally:
        storm.over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        if killer.is_alive():
            killer.join(5)
        gc.callbacks.clear()
        gc.set_threshold(700, 10, 10)


def work(cache: Any, verbs: list[Use], seed: int, until: float, wrong: list[str]) -> int:
    """Use all verbs, in one thread."""
    chance, rounds = Random(seed), 0
    own = threading.current_thread() is threading.main_thread()
    while time.monotonic() < until:
        rounds += 1
        if own and rounds % 3 == 0:
            cache.set(f"own{chance.randrange(4)}", load())
        try:
            chance.choice(verbs)(cache, chance.choice(KEYS))
        except FINE:
            pass
        except BaseException as error:  # noqa: BLE001 - told at the end
            wrong.append(f"in a thread: {error!r}")
    return rounds


def threads(kind: str, url: str, prefix: str, seconds: float) -> dict[str, Any]:
    """Use a ``SyncCache`` by three threads."""
    settings: dict[str, Any] = {} if url.startswith("memory") else {"prefix": prefix, "operation_timeout": "5s"}
    cache = SyncCache(url, near_max_items=20, **settings)
    until = time.monotonic() + seconds
    verbs = [*VERBS, *FUNCTION_VERBS]
    storm = Storm(cache, verbs, 1)
    others = [threading.Thread(target=work, args=(cache, verbs, n, until, storm.wrong), daemon=True) for n in (1, 2)]
    with cache:
        for verb in verbs:  # so that the imports of a first use are done
            with suppress(*FINE):
                verb(cache, "k0")
        with weather(kind, storm):
            for other in others:
                other.start()
            rounds = work(cache, verbs, 0, until, storm.wrong)
        for other in others:
            other.join()
        storm.wrong += list(left_behind(cache))
        stats = cache.stats()
        assert not settings or (stats.epoch, stats.link) == (1, "online"), stats
        return {"rounds": rounds, "timeouts": stats.timeouts, **storm.seen, "wrong": storm.wrong[:5]}


def left_behind(cache: SyncCache) -> Iterator[str]:
    """Yield the leftovers of a cache that is no longer used."""
    engine: Any = cache._engine
    near, coherence = engine.near, engine.coherence
    until = time.monotonic() + 10
    while (cache.stats().flights or cache.stats().journal) and time.monotonic() < until:
        time.sleep(0.01)
    cache.get("a last word")
    stats = cache.stats()
    if stats.flights or stats.waiters or coherence._tokens or stats.journal:
        yield f"left: {stats.flights} flights, {stats.waiters} waiters, {coherence._tokens}, {stats.journal} owed"
    if getattr(engine.monitor, "notes", None) or getattr(engine.monitor, "within", None):
        yield f"left: {engine.monitor.notes} {engine.monitor.within}"
    while near._graveyard and time.monotonic() < until:
        time.sleep(0.01)
    if near._graveyard:
        yield "near's dead are not buried"
    try:
        check_sums(near)
    except AssertionError as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        yield f"near's sums are not those of its entries: {where.line}"
    for key in [*KEYS, "own1"]:
        cache.set(key, load())
        if cache.get(key) != load() or (cache.delete(key), cache.get(key)) != (True, None):
            yield f"{key} is not what was set"


def bypass(cache: Any) -> None:
    with cache.bypass():
        cache.peek("k1")


def refused(cache: Any, key: str) -> None:
    """On a loop's own thread the sync view raises an error; on other threads it works."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        cache.sync.delete(key)
        cache.sync.get(key)
    else:
        with suppress(RuntimeError):
            cache.sync.delete(key)
            raise AssertionError("cache.sync worked on the loop's own thread")


AT_ONCE: list[Use] = [
    lambda cache, key: cache.peek(key),
    lambda cache, _key: cache.stats(),
    lambda cache, _key: cache.status_now(),
    lambda cache, key: cache.namespace("ns").peek(key),
    lambda cache, _key: bypass(cache),
    refused,
]


async def aio_work(cache: Cache, until: float) -> int:
    """Use verbs by tasks."""
    chance, rounds = Random(3), 0

    async def aload() -> list[int]:
        return load()

    while time.monotonic() < until:
        rounds += 1
        key = chance.choice(KEYS)
        with suppress(*FINE):
            await cache.set(key, load(), tags=("t1",))
            await asyncio.gather(*(cache.get_or_set(each, aload, tags=("t2",)) for each in KEYS[:4]))
            await cache.delete(key)
            await cache.incr(f"n{key}")
            await cache.invalidate_tags("t1")
            await cache.get_many(KEYS)
    return rounds


def loop_here(kind: str, url: str, prefix: str, seconds: float) -> dict[str, Any]:
    """Use a ``Cache`` on the loop of the interrupted thread."""

    async def main() -> dict[str, Any]:
        async with Cache(url, prefix=prefix, operation_timeout="5s", near_max_items=20) as cache:
            storm = Storm(cache, AT_ONCE, 1)
            with weather(kind, storm):
                rounds = await aio_work(cache, time.monotonic() + seconds)
            return {"rounds": rounds, "timeouts": cache.stats().timeouts, **storm.seen, "wrong": storm.wrong[:5]}

    return asyncio.run(main())


def loop_elsewhere(kind: str, url: str, prefix: str, seconds: float) -> dict[str, Any]:
    """Use ``cache.sync`` in the interrupted thread, beside a loop that works, too."""
    ready, done = threading.Event(), threading.Event()
    caches: list[Cache] = []

    async def main() -> None:
        async with Cache(url, prefix=prefix, operation_timeout="5s", near_max_items=20) as cache:
            caches.append(cache)
            ready.set()
            while not done.is_set():
                await aio_work(cache, time.monotonic() + 0.05)
                await asyncio.sleep(0.001)

    looping = threading.Thread(target=lambda: asyncio.run(main()))
    looping.start()
    assert ready.wait(20)
    storm = Storm(caches[0].sync, [*VERBS, lambda _cache, key: refused(caches[0], key)], 1)
    for verb in VERBS:
        with suppress(*FINE):
            verb(caches[0].sync, "k0")
    # A finalizer on the loop's own thread gets an error.
    fine = storm.use

    def use(verb: Use | None = None) -> None:
        if threading.current_thread() is looping:
            verb = lambda _cache, key: refused(caches[0], key)  # noqa: E731 - as the others
        fine(verb)

    storm.use = use  # type: ignore[method-assign]
    try:
        with weather(kind, storm):
            rounds = work(caches[0].sync, VERBS, 0, time.monotonic() + seconds, storm.wrong)
    finally:
        done.set()
        looping.join(20)
    return {"rounds": rounds, **storm.seen, "wrong": storm.wrong[:5]}


def tasks_of_threads(kind: str, url: str, prefix: str, seconds: float) -> dict[str, Any]:
    """Use a ``SyncCache`` by tasks of the interrupted thread, which take turns under the monitor.

    Handlers and finalizers load nothing: on the loop's own thread they would wait for the load of a task of that loop.
    """
    settings: dict[str, Any] = {} if url.startswith("memory") else {"prefix": prefix, "operation_timeout": "5s"}
    verbs = [*CALLS, FUNCTION_VERBS[-1]]
    with SyncCache(url, near_max_items=20, **settings) as cache:
        for verb in verbs:
            with suppress(*FINE):
                verb(cache, "k0")
        storm = Storm(cache, verbs, 1)

        async def main() -> int:
            with weather(kind, storm):
                return await aio_work(cast("Cache", cache.aio), time.monotonic() + seconds)

        rounds = asyncio.run(main())
        storm.wrong += list(left_behind(cache))
        return {"rounds": rounds, "timeouts": cache.stats().timeouts, **storm.seen, "wrong": storm.wrong[:5]}


def opening(kind: str, url: str, prefix: str, seconds: float) -> dict[str, Any]:
    """Open and close caches; handlers and finalizers use the one that is being opened or closed."""
    settings: dict[str, Any] = {} if url.startswith("memory") else {"prefix": prefix, "operation_timeout": "5s"}
    fine = (*FINE, Closed)
    chance, until, rounds, before = Random(4), 0.0, 0, threading.active_count()
    storm = Storm(None, VERBS, 1, fine)

    def one(verbs: list[Use]) -> None:
        cache = SyncCache(url, near_max_items=20, **settings)
        storm.cache = cache
        cache.open()
        for verb in verbs:
            with suppress(*fine):
                verb(cache, chance.choice(KEYS))
        cache.close()
        with suppress(Closed):
            cache.set("k1", load())
            storm.wrong.append("a closed cache took a value")

    one(VERBS)
    until = time.monotonic() + seconds
    with weather(kind, storm):
        while time.monotonic() < until:
            one(chance.choices(VERBS, k=8))
            rounds += 1
    late = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < late:
        time.sleep(0.01)
    if threading.active_count() > before:
        storm.wrong.append(f"threads are left: {threading.enumerate()}")
    return {"rounds": rounds, **storm.seen, "wrong": storm.wrong[:5]}


FACES = {
    "threads": threads,
    "tasks of threads": tasks_of_threads,
    "opening": opening,
    "loop here": loop_here,
    "loop elsewhere": loop_elsewhere,
}

if __name__ == "__main__":
    faulthandler.dump_traceback_later(float(sys.argv[5]) + HANGS_AFTER, exit=True)
    said = FACES[sys.argv[2]](sys.argv[1], sys.argv[3], sys.argv[4], float(sys.argv[5]))
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()
    os._exit(0)
