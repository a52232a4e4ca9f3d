"""Hit ratios of eviction policies on key traces; prints the Markdown tables of docs/near.md.

A trace is a gzipped file ``NAME.keys.gz`` with one key per line in the order of requests. Every request is a look-up;
a miss puts the key in. Sizes are numbers of keys; the bytes of values do not count.

    python benchmarks/eviction.py --traces DIR      # every trace in the folder; 1.2 million requests take two minutes
    python benchmarks/eviction.py                   # no traces at hand: Zipf with scans, made here with a fixed seed
"""

import argparse
import gzip
import itertools
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fleetcache.near.s3fifo import GHOST_SHARE, MAX_FREQ, PROMOTE, SMALL_SHARE, S3Fifo

SIZES = (0.005, 0.01, 0.05, 0.10, 0.25)  # of the trace's distinct keys
SMALLEST = 10  # keys; with fewer a ratio says little
SMALL = 0.01  # sizes up to this are the small ones of the summary


class Policy(Protocol):
    """A store of keys of a fixed size."""

    def access(self, key: str) -> bool:
        """Return True if the key was there; it is afterwards."""
        ...


class Fifo:
    """The key that came first leaves first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: OrderedDict[str, None] = OrderedDict()

    def access(self, key: str) -> bool:
        """Return True if the key was there; it is afterwards."""
        if key in self._keys:
            return True
        self._keys[key] = None
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
        return False


class Lru(Fifo):
    """The key that was not used for the longest time leaves first."""

    def access(self, key: str) -> bool:
        """Return True if the key was there; it is afterwards."""
        hit = super().access(key)
        if hit:
            self._keys.move_to_end(key)
        return hit


class _Node:
    __slots__ = ("asked", "key", "newer", "older")

    def __init__(self, key: str, older: "_Node | None") -> None:
        self.key = key
        self.asked = False
        self.older = older
        self.newer: _Node | None = None


class Sieve:
    """One queue, one bit, and a hand that goes from old to new, takes the bits off and evicts where there is none."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._nodes: dict[str, _Node] = {}
        self._oldest: _Node | None = None
        self._newest: _Node | None = None
        self._hand: _Node | None = None

    def access(self, key: str) -> bool:
        """Return True if the key was there; it is afterwards."""
        node = self._nodes.get(key)
        if node is not None:
            node.asked = True
            return True
        if len(self._nodes) >= self._size:
            self._evict()
        node = self._nodes[key] = _Node(key, self._newest)
        if self._newest is None:
            self._oldest = node
        else:
            self._newest.newer = node
        self._newest = node
        return False

    def _evict(self) -> None:
        node = self._hand or self._oldest
        while node is not None and node.asked:
            node.asked = False
            node = node.newer or self._oldest
        assert node is not None
        self._hand = node.newer
        if node.older is None:
            self._oldest = node.newer
        else:
            node.older.newer = node.newer
        if node.newer is None:
            self._newest = node.older
        else:
            node.newer.older = node.older
        del self._nodes[node.key]


class _Mark:
    __slots__ = ("freq", "main")

    def __init__(self) -> None:
        self.freq = 0
        self.main = False


def _one(_key: str, _mark: _Mark) -> int:
    return 1


class Near:
    """The queue of ``fleetcache.near.store``, with its own settings unless told."""

    def __init__(
        self,
        size: int,
        *,
        small: float = SMALL_SHARE,
        ghost: float = GHOST_SHARE,
        promote: int = PROMOTE,
        max_freq: int = MAX_FREQ,
    ) -> None:
        self._size = size
        self._max_freq = max_freq
        self._queue: S3Fifo[_Mark] = S3Fifo(_one, size, size, small_share=small, ghost_share=ghost, promote=promote)

    def access(self, key: str) -> bool:
        """Return True if the key was there; it is afterwards."""
        mark = self._queue.items.get(key)
        if mark is not None:
            if mark.freq < self._max_freq:
                mark.freq += 1
            return True
        self._queue.put(key, _Mark())
        if len(self._queue.items) > self._size:
            self._queue.evict(by_weight=False)
        return False


def as_published(size: int) -> Near:
    """The same queue with the published settings, to compare with other implementations of S3-FIFO."""
    return Near(size, small=0.10, ghost=0.9)


POLICIES: dict[str, Callable[[int], Policy]] = {
    "FIFO": Fifo,
    "LRU": Lru,
    "SIEVE": Sieve,
    "S3-FIFO as published": as_published,
    "near": Near,
}

VARIANTS: dict[str, Callable[[int], Policy]] = {
    "LRU": Lru,
    "SIEVE": Sieve,
    "near: small 20 %, promote at 2, ghosts 1": Near,
    "small 5 %": lambda size: Near(size, small=0.05),
    "small 10 %": lambda size: Near(size, small=0.10),
    "small 10 %, ghosts 0.9 (as published)": as_published,
    "small 30 %": lambda size: Near(size, small=0.30),
    "ghosts 0.5": lambda size: Near(size, ghost=0.5),
    "ghosts 2": lambda size: Near(size, ghost=2.0),
    "promote at 1": lambda size: Near(size, promote=1),
    "promote at 1, small 10 %": lambda size: Near(size, promote=1, small=0.10),
    "one bit (marks 0 or 1)": lambda size: Near(size, promote=1, max_freq=1),
}


def hit_ratio(policy: Policy, keys: list[str]) -> float:
    """Return the share of requests that found their key."""
    return sum(map(policy.access, keys)) / len(keys)


def zipf_with_scans(requests: int = 200_000, keys: int = 20_000, seed: int = 7) -> list[str]:
    """Return requests by Zipf's law (exponent 0.9); every tenth stretch of 2,000 is a scan of keys used only once."""
    rng = random.Random(seed)
    weights = list(itertools.accumulate((rank + 1) ** -0.9 for rank in range(keys)))
    stretch = 2_000
    made: list[str] = []
    for part in range(requests // stretch):
        if part % 10 == 9:
            made += [f"scan:{part}:{number}" for number in range(stretch)]
        else:
            made += [f"key:{number}" for number in rng.choices(range(keys), cum_weights=weights, k=stretch)]
    return made


def read_traces(folder: Path) -> dict[str, list[str]]:
    """Return every ``NAME.keys.gz`` of the folder."""
    files = sorted(folder.glob("*.keys.gz"))
    if not files:
        raise SystemExit(f"no *.keys.gz in {folder}")
    return {file.name.removesuffix(".keys.gz"): gzip.open(file, "rt").read().splitlines() for file in files}


def sizes_of(keys: list[str]) -> list[tuple[float, int]]:
    """Return shares of the distinct keys, each with its number of keys."""
    distinct = len(set(keys))
    return [(share, int(distinct * share)) for share in SIZES if int(distinct * share) >= SMALLEST]


def print_policies(traces: dict[str, list[str]]) -> None:
    """Print one row per trace and size, the best in bold."""
    print("| trace | keys held | " + " | ".join(POLICIES) + " |")
    print("|---|--:|" + "--:|" * len(POLICIES))
    for name, keys in traces.items():
        for share, size in sizes_of(keys):
            ratios = [f"{hit_ratio(make(size), keys):.3f}" for make in POLICIES.values()]
            best = max(ratios)
            cells = " | ".join(f"**{ratio}**" if ratio == best else ratio for ratio in ratios)
            print(f"| {name} | {size:,} ({share:.1%}) | {cells} |", flush=True)


def print_variants(traces: dict[str, list[str]]) -> None:
    """Print means over all traces: all sizes, the small ones, and with every request made twice in a row."""
    print("| variant | mean | mean of sizes up to 1 % | mean, each key asked for twice in a row |")
    print("|---|--:|--:|--:|")
    for name, make in VARIANTS.items():
        everywhere, small, twice = [], [], []
        for keys in traces.values():
            doubled = [key for key in keys for _ in range(2)]
            for share, size in sizes_of(keys):
                everywhere.append(hit_ratio(make(size), keys))
                # The second of two is always a hit, so only the first counts.
                twice.append(2 * hit_ratio(make(size), doubled) - 1)
                if share <= SMALL:
                    small.append(everywhere[-1])
        means = " | ".join(f"{sum(ratios) / len(ratios):.4f}" for ratios in (everywhere, small, twice))
        print(f"| {name} | {means} |", flush=True)


def main() -> None:
    """Print the tables for the traces of the command line."""
    parser = argparse.ArgumentParser(description="Hit ratios of eviction policies.")
    parser.add_argument("--traces", type=Path, metavar="DIR", help="folder with *.keys.gz; without it: Zipf with scans")
    parser.add_argument("--at-most", type=int, default=100_000, metavar="N", help="requests per trace in table two")
    options = parser.parse_args()
    traces = read_traces(options.traces) if options.traces else {"zipf with scans": zipf_with_scans()}
    started = time.perf_counter()
    print_policies(traces)
    print()
    print_variants({name: keys[: options.at_most] for name, keys in traces.items()})
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
