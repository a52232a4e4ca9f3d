"""The order of eviction: the effect of a scan, a burst, an invalidation and a full store on the hot set."""

import random
from collections import OrderedDict

import pytest

from fleetcache.near.s3fifo import MAX_FREQ, PATIENCE, PROMOTE, S3Fifo


class Entry:
    """The least parts that the queue needs, with a weight."""

    def __init__(self, weight: int = 1) -> None:
        self.freq = 0
        self.main = False
        self.weight = weight


class Store:
    """The queue as near uses it: look up, mark, put, evict the excess."""

    def __init__(self, max_items: int, max_weight: int = 10**9) -> None:
        self.max_items = max_items
        self.max_weight = max_weight
        self.queue: S3Fifo[Entry] = S3Fifo(lambda _key, entry: entry.weight, max_items, max_weight)

    def access(self, key: str, weight: int = 1) -> bool:
        entry = self.queue.items.get(key)
        if entry is not None:
            entry.freq = min(entry.freq + 1, MAX_FREQ)
            return True
        self.queue.put(key, Entry(weight))
        while (heavy := self.queue.weight > self.max_weight) or len(self.queue.items) > self.max_items:
            self.queue.evict(by_weight=heavy)
        return False


class Lru:
    """The negative twin: plain LRU, as in most caches."""

    def __init__(self, max_items: int) -> None:
        self.max_items = max_items
        self.keys: OrderedDict[str, None] = OrderedDict()

    def access(self, key: str) -> bool:
        hit = key in self.keys
        self.keys[key] = None
        self.keys.move_to_end(key)
        if len(self.keys) > self.max_items:
            self.keys.popitem(last=False)
        return hit


HOT = [f"hot:{number}" for number in range(50)]


def hot_hits_after_scan(store: Store | Lru, *, times_each: int = 1) -> int:
    """Make keys hot, read ten times the store's size of keys never read again, and count the hot keys still there."""
    for _ in range(4):
        for key in HOT:
            store.access(key)
    for number in range(1_000):
        for _ in range(times_each):
            store.access(f"scan:{number}")
    return sum(store.access(key) for key in HOT)


def test_a_scan_of_one_time_keys_leaves_the_hot_set_alone() -> None:
    assert hot_hits_after_scan(Store(100)) == len(HOT)


def test_a_scan_that_asks_twice_for_each_key_does_too() -> None:
    assert hot_hits_after_scan(Store(100), times_each=2) == len(HOT)


def test_negative_twin_lru_loses_the_hot_set_to_the_same_scan() -> None:
    assert hot_hits_after_scan(Lru(100)) == 0


def test_a_scan_of_heavy_keys_leaves_the_hot_set_alone_when_the_weight_is_what_is_bounded() -> None:
    store = Store(10**6, max_weight=1_000)
    for _ in range(4):
        for key in HOT:
            store.access(key, weight=10)
    for number in range(500):
        store.access(f"scan:{number}", weight=100)
    assert sum(store.access(key) for key in HOT) == len(HOT)


def test_a_hot_set_that_changes_is_followed() -> None:
    store = Store(100)
    hot_hits_after_scan(store)
    new = [f"new:{number}" for number in range(80)]
    for _ in range(12):
        for key in new:
            store.access(key)
    assert sum(store.access(key) for key in new) == len(new)


def test_a_key_that_comes_back_soon_after_its_eviction_is_kept_longer() -> None:
    store = Store(10)
    store.access("back")
    for number in range(10):
        store.access(f"first:{number}")
    assert "back" not in store.queue.items
    store.access("back")
    for number in range(20):
        store.access(f"second:{number}")
    assert "back" in store.queue.items


def test_a_forgotten_key_keeps_its_place_but_is_not_there() -> None:
    store = Store(100)
    for _ in range(4):
        store.access("hot")
    for number in range(200):
        store.access(f"fill:{number}")
    was_main = store.queue.items["hot"].main
    assert was_main
    assert store.queue.remove("hot") is not None
    assert store.queue.remove("hot") is None
    assert "hot" not in store.queue.items
    store.access("hot")
    assert store.queue.items["hot"].main


def test_the_place_of_a_forgotten_key_is_gone_when_its_turn_has_come() -> None:
    store = Store(10)
    for number in range(10):
        store.access(f"first:{number}")
    store.queue.remove("first:0")
    for number in range(30):
        store.access(f"second:{number}")
    store.access("first:0")
    assert not store.queue.items["first:0"].main


def test_forgetting_and_loading_for_ever_does_not_grow_the_queue() -> None:
    store = Store(1_000)
    for number in range(20_000):
        store.access(f"key:{number}")
        store.queue.remove(f"key:{number}")
    places = len(store.queue._small) + len(store.queue._main)
    assert len(store.queue.items) == 0
    assert places == store.queue._vacant.count <= 65


def test_replacing_an_entry_keeps_its_place_and_marks_and_changes_the_weight() -> None:
    queue: S3Fifo[Entry] = S3Fifo(lambda _key, entry: entry.weight, 10, 100)
    old = Entry(5)
    queue.put("a", old)
    old.freq = 2
    new = Entry(7)
    assert queue.put("a", new) is old
    assert (new.freq, queue.weight, len(queue.items)) == (2, 7, 1)
    assert queue.put("a", new) is new
    assert queue.weight == 7


def test_one_eviction_spares_a_bounded_number_of_entries() -> None:
    queue: S3Fifo[Entry] = S3Fifo(lambda _key, _entry: 1, 10_000, 10_000)
    for number in range(10_000):
        queue.put(f"key:{number}", Entry())
        queue.items[f"key:{number}"].freq = MAX_FREQ
    key, _entry = queue.evict(by_weight=False)
    assert key == f"key:{PATIENCE}"


def test_a_new_entry_is_not_evicted_by_its_own_coming() -> None:
    store = Store(10)
    for number in range(10):
        for _ in range(PROMOTE + 2):
            store.access(f"hot:{number}")
    store.access("new")
    assert "new" in store.queue.items


def test_a_walk_comes_round_to_every_entry_and_takes_out_vacant_places() -> None:
    store = Store(500)
    for number in range(2_000):
        store.access(f"key:{number % 700}")
    vacant = list(store.queue.items)[::10]
    for key in vacant:
        store.queue.remove(key)
    assert set(vacant) <= set(store.queue._small) | set(store.queue._main)
    seen = {key for _ in range(20) for key in store.queue.walk(50)}
    assert seen == set(store.queue.items) == set(store.queue._small) | set(store.queue._main)
    assert store.queue.walk(0) == []


def test_a_walk_changes_no_order() -> None:
    stores = Store(200), Store(200)
    rng = random.Random(7)
    for number in range(3_000):
        key = f"key:{int(rng.paretovariate(0.6)) % 1_000}"
        for store in stores:
            store.access(key)
            if number % 9 == 0:
                store.queue.remove(key)
        stores[0].queue.walk(rng.randrange(30))
        assert list(stores[0].queue.items) == list(stores[1].queue.items)


def test_a_queue_that_is_left_gives_its_places_away_and_starts_over() -> None:
    store = Store(100)
    for number in range(150):
        store.access(f"key:{number}")
    store.queue.remove("key:149")
    held = dict(store.queue.items)
    places, vacant = store.queue.leave()
    assert {key for line in places for key in line} == set(held) | {"key:149"}
    assert [part for part in vacant if part] == [{"key:149": False}]
    assert store.queue.items == held
    assert (store.queue.count, store.queue.weight) == (0, 0)
    for key in held:
        del store.queue.items[key]
    store.access("key:1")
    assert store.queue.evict(by_weight=False)[0] == "key:1"


def test_to_forget_one_key_takes_as_long_in_a_large_queue_as_in_a_small_one() -> None:
    asked: list[int] = []
    queue: S3Fifo[Entry] = S3Fifo(lambda _key, _entry: 1, 20_000, 20_000)
    walk = queue.walk

    def counted(steps: int) -> list[str]:
        asked.append(steps)
        return walk(steps)

    queue.walk = counted  # type: ignore[method-assign]
    for number in range(20_000):
        queue.put(f"key:{number}", Entry())
    for number in range(19_000):
        queue.remove(f"key:{number * 7919 % 20_000}")
    assert max(asked) < 20
    assert queue._vacant.count < 20_000 // 6


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_stores_work(size: int) -> None:
    store = Store(size)
    for number in range(100):
        store.access(f"key:{number % 5}")
        assert len(store.queue.items) <= size
    assert store.access(f"key:{99 % 5}")


def test_clear_forgets_the_memory_of_evicted_keys_too() -> None:
    store = Store(10)
    for number in range(40):
        store.access(f"key:{number}")
    store.queue.clear()
    for number in range(5):
        store.access(f"key:{number}")
    assert store.queue.weight == len(store.queue.items) == 5
    assert not any(entry.main for entry in store.queue.items.values())
