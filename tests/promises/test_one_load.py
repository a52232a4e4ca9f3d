"""Promise 1: for one key at most one loader runs in the whole fleet, and a dead one delays the others by its lease."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

from fleetcache import Cache
from tests.promises.fleet import Fleet
from tests.promises.variants import Variant, everlasting_lease, no_lease, ours
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually, wait_until

PROCESSES, CALLERS = 4, 250
TAKES = 0.03  # seconds per load, so that each process asks while it runs


def excess_loads(server: Server, prefix: str, variant: Variant, rounds: int, takes: float = TAKES) -> dict[str, int]:
    """Count the loads beyond one per round: of new keys, and of one key right after each ``clear()``."""
    with Fleet(variant, server.url, prefix, PROCESSES) as fleet:
        cold = 0
        for number in range(rounds):
            answers = fleet.all("ask", key=f"cold{number}", callers=CALLERS, take=takes)
            assert [answer["values"] for answer in answers] == [[f"value of cold{number}"]] * PROCESSES
            cold += fleet.loads(f"cold{number}")
        fleet.all("ask", key="cleared", callers=1, take=takes)
        before = fleet.loads("cleared")
        for _ in range(rounds):
            fleet.workers[0].send("clear")
            fleet.workers[0].receive()
            fleet.all("ask", key="cleared", callers=CALLERS, take=takes)
        cleared = fleet.loads("cleared") - before
    # Fewer loads are as wrong as more: a process then answered with a removed value.
    return {"cold": abs(cold - rounds), "cleared": abs(cleared - rounds)}


def test_thousand_callers_in_four_processes_cause_one_load(server: Server, prefix: str) -> None:
    assert excess_loads(server, prefix, ours, rounds=20) == {"cold": 0, "cleared": 0}


def test_without_a_lease_every_process_loads(one_server: Server, prefix: str) -> None:
    excess = excess_loads(one_server, prefix, no_lease, rounds=3, takes=10 * TAKES)
    assert excess["cold"] > 0
    assert excess["cleared"] > 0


LEASE = 1.0  # seconds; the shortest lease, as short loaders have it
LATER = 3.0  # seconds that a busy machine may add; the twin's lease lasts ten


def late_after_a_kill(server: Server, prefix: str, variant: Variant) -> int:
    """Count the processes without the value soon after the lease of a killed loader's process ended."""
    with Fleet(variant, server.url, prefix, 3) as fleet:
        for number, worker in enumerate(fleet.workers):  # each process learns how long this loader takes
            worker.send("ask", key=f"learn{number}")
            worker.receive()
        holder, *others = fleet.workers
        holder.send("ask", key="cold", take=60)
        wait_until(lambda: fleet.loads("cold") == 1)
        for worker in others:
            worker.send("ask", key="cold", callers=20)
        holder.kill()
        killed = time.monotonic()
        answers = [worker.receive(max(0.0, killed + LEASE + LATER + 0.2 - time.monotonic())) for worker in others]
        assert fleet.loads("cold") <= 2
    return sum(answer is None or answer["at"] > killed + LEASE + LATER for answer in answers)


def test_a_killed_holder_delays_the_others_by_its_lease(server: Server, prefix: str) -> None:
    assert late_after_a_kill(server, prefix, ours) == 0


def test_a_lease_that_does_not_fit_the_loader_delays_them_longer(one_server: Server, prefix: str) -> None:
    assert late_after_a_kill(one_server, prefix, everlasting_lease) > 0


KEYS = [f"k{number}" for number in range(24)]
LONG = 5.0  # seconds for a batch that takes a hundredth of one; a ring lasts until a lease ends, 10


class OrderlyBatches:
    """Takes one lock after the other and loads with all of them: two such batches wait for each other in a ring."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get_or_set_many(self, keys: Sequence[str], load: "Loader") -> dict[str, str]:
        missing = [key for key in keys if self._client("GET", key) is None]
        for key in missing:
            await eventually(partial(self._client, "SET", f"{key}:lock", 1, "NX", "PX", 10_000), timeout=10)
            await asyncio.sleep(0)
        loaded = {key: self._client("GET", key) or (await load([key]))[key] for key in missing}
        for key, value in loaded.items():
            self._client.pipeline(("SET", key, value), ("DEL", f"{key}:lock"))
        return {key: str(self._client("GET", key)) for key in keys}


class Loader:
    """A loader that counts its loads per key."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()

    async def __call__(self, keys: list[str]) -> dict[str, str]:
        self.loads.update(keys)
        await asyncio.sleep(0.005)
        return {key: f"value of {key}" for key in keys}


async def overlap(batchers: Sequence[Cache | OrderlyBatches], seed: int) -> int:
    """Count the keys that were loaded twice, and the batches that waited longer than ``LONG``."""
    load, order = Loader(), random.Random(seed)

    async def batch(batcher: Cache | OrderlyBatches) -> bool:
        keys = order.sample(KEYS, 12)
        try:
            async with asyncio.timeout(LONG):
                found = await batcher.get_or_set_many(keys, load)
        except TimeoutError:
            return True
        return list(found) != keys

    late = await asyncio.gather(*(batch(batcher) for batcher in batchers for _ in range(5)))
    return sum(late) + sum(count - 1 for count in load.loads.values())


async def overlap_in(variant: Variant, server: Server, prefix: str, rounds: int) -> int:
    violations = 0
    for number in range(rounds):
        caches = [variant(server.url, prefix=f"{prefix}-{number}", operation_timeout="5s") for _ in range(3)]
        for cache in caches:
            await cache.open()
        violations += await overlap(caches, number)
        for cache in caches:
            await cache.close()
    return violations


def test_overlapping_batches_load_each_key_once_and_never_wait_in_a_ring(server: Server, prefix: str) -> None:
    assert run(overlap_in(ours, server, prefix, rounds=10)) == 0


def test_batches_without_leases_load_keys_twice(one_server: Server, prefix: str) -> None:
    assert run(overlap_in(no_lease, one_server, prefix, rounds=2)) > 0


def test_batches_that_take_locks_one_by_one_wait_in_a_ring(one_server: Server) -> None:
    with one_server.client() as client:
        assert run(overlap([OrderlyBatches(client)] * 3, seed=1)) > 0
