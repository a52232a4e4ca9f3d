"""One process of a crowd: many threads on one ``SyncCache``; reads commands as lines of JSON, answers with lines.

Run it as ``python -m tests.stress.crowd VARIANT URL PREFIX FOLDER NUMBER TIMEOUT``; ``TIMEOUT`` is in seconds. The
truth is a file that all processes map: the version of each key. Only the process with that number raises it. Each load
leaves a byte in a file.
"""

import json
import mmap
import random
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from fleetcache import SyncCache
from fleetcache.engine.threads.monitor import ThreadFuture
from fleetcache.policy.lookup import EntryState, Lookup
from fleetcache.policy.outcome import Outcome
from fleetcache.policy.single_flight import Flights

KEYS_EACH, PROCESSES = 3, 4
SIZE = 8 * KEYS_EACH * PROCESSES


def ours(cache: SyncCache) -> None:
    """The real cache."""


def no_lease(cache: SyncCache) -> None:
    """Each miss loads. There is one load per process and key."""

    def acquire(_key: str, placeholder: bytes, *_: object, **__: object) -> ThreadFuture:
        future = ThreadFuture()
        future.set_result(Lookup(EntryState.GRANTED, stamp=placeholder))
        return future

    cast("Any", cache._engine.shared).acquire = acquire


def no_journal(cache: SyncCache) -> None:
    """A removal without an acknowledgement is forgotten."""
    cast("Any", cache._engine.coherence.journal).defer = lambda *_: False


def joins_any_flight(_cache: SyncCache) -> None:
    """Each caller joins a flight in progress, even if a removal came after the flight's start."""
    made = Outcome.__init__

    def same_for_all(self: Outcome, own: Any, _others: Any = None, **more: Any) -> None:
        made(self, own, own, **more)

    cast("Any", Outcome).__init__ = same_for_all
    cast("Any", Flights).detach_key = lambda _self, _key: None


class Crowd:
    """The threads of this process."""

    def __init__(self, cache: SyncCache, folder: Path, number: int) -> None:
        self.cache, self.folder, self.number = cache, folder, number
        with (folder / "truth").open("r+b") as file:
            self._truth = mmap.mmap(file.fileno(), SIZE)
        self._raising = threading.Lock()

    def version(self, key: int) -> int:
        """Return the newest version of a key."""
        found: int = struct.unpack_from("q", self._truth, 8 * key)[0]
        return found

    def load(self, key: int, order: random.Random) -> int:
        """Read the version at once and return it late: a removal must beat such a load."""
        version = self.version(key)
        time.sleep(order.choice((0, 0, 0.001, 0.004)))
        return version

    def read(self, key: int, order: random.Random) -> int:
        """Read the key through the cache."""
        return self.cache.get_or_set(f"k{key}", lambda: self.load(key, order), type=int)

    def in_threads(self, count: int, work: Callable[[int], Any]) -> list[Any]:
        """Run ``work`` this many times at once."""
        found: list[Any] = [None] * count

        def run(number: int) -> None:
            found[number] = work(number)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    # -- commands ------------------------------------------------------------------------------------------------------

    def ask(self, key: str, callers: int, take: float) -> dict[str, Any]:
        """Ask for a key by this many callers at once; the loader takes ``take`` seconds."""

        def load() -> str:
            with (self.folder / key).open("ab", buffering=0) as file:
                file.write(b".")
            time.sleep(take)
            return f"value of {key}"

        return {"values": sorted(set(self.in_threads(callers, lambda _: self.cache.get_or_set(key, load))))}

    def unrest(self, threads: int, seconds: float, seed: int) -> dict[str, Any]:
        """Read all keys and remove this process's own; a thread must not see a value from before its removal."""
        end = time.monotonic() + seconds

        def work(number: int) -> tuple[int, int, list[str]]:
            order = random.Random(f"{seed} {self.number} {number}")
            looks = wrong = 0
            errors = []
            while time.monotonic() < end:
                try:
                    if order.random() < 0.3:
                        looks += 1
                        wrong += not self.remove_and_look(order)
                    else:
                        self.read(order.randrange(KEYS_EACH * PROCESSES), order)
                except Exception as error:  # noqa: BLE001 - no fault may be a caller's: promise 4
                    errors.append(repr(error))
            return looks, wrong, errors

        done = self.in_threads(threads, work)
        return {
            "looks": sum(looks for looks, _, _ in done),
            "wrong": sum(wrong for _, wrong, _ in done),
            "errors": [error for *_, errors in done for error in errors][:3],
        }

    def remove_and_look(self, order: random.Random) -> bool:
        """Remove in the source first, then in the cache."""
        key = self.number * KEYS_EACH + order.randrange(KEYS_EACH)
        with self._raising:
            struct.pack_into("q", self._truth, 8 * key, self.version(key) + 1)
            wanted = self.version(key)
        self.cache.delete(f"k{key}")
        return self.read(key, order) >= wanted

    def settle(self) -> dict[str, Any]:
        """Wait until the server has acknowledged all removals."""
        end = time.monotonic() + 10
        while time.monotonic() < end and not (self.cache.status_now().shared and self.cache.stats().journal == 0):
            time.sleep(0.01)
        return {"settled": self.cache.status_now().shared and self.cache.stats().journal == 0}

    def look(self) -> dict[str, Any]:
        """Count the keys with a superseded answer, after all has settled."""
        order = random.Random(self.number)
        return {"wrong": sum(self.read(key, order) != self.version(key) for key in range(KEYS_EACH * PROCESSES))}


def main(variant: str, url: str, prefix: str, folder: str, number: str, timeout: str) -> None:
    """Answer commands until the input ends."""
    seconds = float(timeout)
    with SyncCache(url, prefix=prefix, operation_timeout=seconds, max_staleness=2 * seconds) as cache:
        globals()[variant](cache)
        crowd = Crowd(cache, Path(folder), int(number))
        say({"ready": True})
        for line in sys.stdin:
            command = json.loads(line)
            say(partial(getattr(crowd, command.pop("do")), **command)())


def say(answer: dict[str, Any]) -> None:
    """Answer with a line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
