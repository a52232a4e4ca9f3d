"""Near on threads: readers without a lock, writers that take turns, and burials between them."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from fleetcache.near.store import Near, NearEntry
from tests.support.near_store import bury_all, check_sums, held


@pytest.fixture
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def numbered(number: int, unique: int) -> NearEntry:
    """Return an entry whose every part shows its number."""
    tags = ("*", f"tag:{number % 20}")
    return held((number, unique), size=unique % 700, tags=tags, stale_until=unique % 11, backed=unique % 9 > 0)


def is_whole(number: int, entry: NearEntry) -> bool:
    said, unique = entry.value
    twin = numbered(number, unique)
    return (
        said == number
        and entry.stale_until in {twin.stale_until, -float("inf")}  # each dead entry ends when it is buried
        and all(getattr(entry, name) == getattr(twin, name) for name in ("size", "tags", "unconfirmed", "stamp"))
    )


def write(near: Near, rng: random.Random, steps: int, turn: threading.Lock) -> None:
    for _ in range(steps):
        number = rng.randrange(600)
        removals: list[Callable[[], object]] = [
            partial(near.forget, f"key:{number}"),
            partial(near.forget_tag, f"tag:{number % 20}"),
            partial(near.sweep, rng.randrange(10)),
            near.forget_unconfirmed,
            near.clear,
            partial(near.bury, rng.randrange(50)),
        ]
        with turn:  # the writers take turns, as under the monitor
            near.put(f"key:{number}", numbered(number, rng.randrange(10**6)))
            if rng.random() < 0.05:
                rng.choices(removals, weights=[60, 20, 15, 4, 1, 30])[0]()


@pytest.mark.parametrize("at_once", [0, Near.AT_ONCE])
@pytest.mark.usefixtures("_switching_often")
def test_threads_reading_and_writing_at_once_see_whole_entries_and_leave_exact_sums(at_once: int) -> None:
    near = Near(200, 120_000)
    near.AT_ONCE = at_once
    torn: list[str] = []
    hits: Counter[int] = Counter()
    writing = threading.Event()
    writing.set()
    turn = threading.Lock()

    def read(me: int) -> None:
        get = near.items.get
        while writing.is_set():
            for number in range(600):
                entry = get(f"key:{number}")
                if entry is not None and near.lives(entry):
                    hits[me] += 1
                    near.touch(entry)
                    if not is_whole(number, entry):
                        torn.append(f"{entry!r} under key:{number}")

    writers = [threading.Thread(target=write, args=(near, random.Random(seed), 3_000, turn)) for seed in range(4)]
    readers = [threading.Thread(target=read, args=(me,)) for me in range(2)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    writing.clear()
    for thread in readers:
        thread.join()
    assert torn == []
    assert min(hits[0], hits[1]) > 0
    assert near.evictions > 0
    check_sums(near)
    bury_all(near)
    check_sums(near)


def test_a_reader_that_still_has_a_buried_entry_finds_it_expired() -> None:
    """Once its tag's dead are buried, nothing else tells a reader without a lock that the entry was removed."""
    near = Near(1_000, 10**6)
    near.AT_ONCE = 0
    near.put("k", held(tags=("*", "mine")))
    entry = near.items["k"]
    near.forget_tag("mine")
    bury_all(near)
    near.lives(entry)
    assert entry.fresh_until == entry.stale_until == -float("inf")
