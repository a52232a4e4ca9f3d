"""Threads that read without a lock while another removes many entries at once, and an alarm buries them."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleetcache import SyncCache
from fleetcache.near.generations import Generations
from fleetcache.near.graveyard import Burial

KEYS = [f"key:{number}" for number in range(300)]
ROUNDS = 30  # the twin sees removed entries in most of them
REMOVALS: dict[str, Callable[[SyncCache], object]] = {
    "tag": lambda cache: cache.invalidate_tags("mine"),
    "clear": lambda cache: cache.clear(),
}


@pytest.fixture(autouse=True)
def _switching_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Burial, "STEPS", 4)
    monkeypatch.setattr(Burial, "SLICE", 0.0002)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Storm:
    """A writer that stores rounds of values and removes each round, and readers that look for values of a round past.

    Attributes:
        removed: The newest round whose removal has returned.
        seen: Answers that the readers got.
        old: Answers from a round that was removed before the call began.
    """

    def __init__(self, cache: SyncCache, remove: Callable[[SyncCache], object]) -> None:
        self._cache, self._remove = cache, remove
        self.removed, self.seen, self.over = -1, 0, False
        self.old: list[str] = []
        self._engine: Any = cache._engine
        self._engine.near.AT_ONCE = 0

    def _write(self) -> None:
        cache = self._cache
        try:
            for number in range(ROUNDS):
                cache.set_many(dict.fromkeys(KEYS, number), tags=["mine"], type=int)
                cache.set("other", number, tags=["other"], type=int)
                self._remove(cache)
                self.removed = number
                for key in KEYS[::7]:  # some are there again before the dead are buried
                    cache.set(key, number + 1, tags=["mine"], type=int)
                    cache.invalidate_tags("other")
        finally:
            self.over = True

    def _read(self, ask: Callable[[str], Any]) -> None:
        while not self.over:
            for key in KEYS:
                removed = self.removed
                value = ask(key)
                if value is not None:
                    self.seen += 1
                    if value <= removed:
                        self.old.append(f"{key} of round {value}, removed before round {removed + 1}")

    def run(self) -> None:
        asks = [lambda key: self._cache.peek(key, type=int), lambda key: self._cache.get(key, type=int)]
        threads = [threading.Thread(target=self._read, args=(ask,)) for ask in (*asks, asks[0])]
        threads.append(threading.Thread(target=self._write))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


def storm(remove: str) -> Storm:
    with SyncCache("memory://", near_max_items=10_000) as cache:
        played = Storm(cache, REMOVALS[remove])
        played.run()
    return played


@pytest.mark.parametrize("remove", REMOVALS)
def test_no_thread_sees_an_entry_after_its_removal_has_returned(remove: str) -> None:
    played = storm(remove)
    assert played.old == []
    assert played.seen > ROUNDS


@pytest.mark.parametrize("remove", REMOVALS)
def test_negative_twin_readers_that_move_every_entry_on_see_removed_ones(
    remove: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moves_on(self: Generations, held: Any) -> bool:
        held.generation = self.present(held)
        return True

    with SyncCache("memory://", near_max_items=10_000) as cache:
        played = Storm(cache, REMOVALS[remove])
        monkeypatch.setattr(Generations, "lives", moves_on)
        near = cache._engine.near
        near.lives = near._generations.lives
        played.run()
    assert played.old


def test_threads_without_a_server_bury_and_leave_no_thread_behind() -> None:
    with SyncCache("memory://", near_max_items=10_000) as cache:
        near: Any = cache._engine.near
        cache.set_many({f"key:{number}": number for number in range(5_000)})
        left: list[int] = []
        bury = near.bury

        def looked_at(steps: int) -> bool:
            left.append(len(near.items))
            return bool(bury(steps))

        near.bury = looked_at
        cache.clear()
        assert len(near) == 0
        ended = threading.Event()
        for _ in range(1_000):
            if not near._graveyard:
                break
            ended.wait(0.01)
        assert left[:1] == [5_000], "the removal leaves the dead to the alarm"
        assert not near.items
        assert near.bytes == 0
        for _ in range(1_000):
            if not [one for one in threading.enumerate() if one.name == "fleetcache-alarm"]:
                break
            ended.wait(0.01)
        assert not [one for one in threading.enumerate() if one.name == "fleetcache-alarm"]
