"""Measures the costs of the model on this machine, and points that the model must predict."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from benchmarks.scale.bare import Crowds
from benchmarks.scale.lab import PREFIX, Lab, Spent
from benchmarks.scale.model import Costs, Demand, predict
from fleetcache import Cache
from fleetcache.format.keys import Layout
from tests.support.servers import Server

__all__ = ["Point", "calibrate", "points"]

T = TypeVar("T")

KEY = "hot"
RAW = Layout(PREFIX).entry(KEY)
CLIENTS = 500
RESTARTED = 500, 1_500  # two fleets: handshakes that come together share the server's turns
ROUNDS = 30
SECONDS = 6.0
TIMES = 3
SMALL, LARGE = 100, 20_000
HERD, HERDS = 40, 40
# Heartbeats would count as work of the handshakes.
NO_BEATS: dict[str, Any] = {"max_staleness": "60s"}
UNHURRIED: dict[str, Any] = {"operation_timeout": "5s", "ttl": "1h"}


@dataclass(frozen=True)
class Point:
    """A demand that was measured, and is not among those that the costs come from.

    Attributes:
        what: The scene in words.
        demand: The demand.
        cpu: The share of a core; after a restart, seconds of CPU until all are back.
        sent: Bytes a second; after a restart, all bytes until then.
        took: Seconds until all were back after a restart; 0 without one.
    """

    what: str
    demand: Demand
    cpu: float
    sent: float
    took: float = 0.0

    def errors(self, costs: Costs) -> tuple[float, float]:
        """Return by how much the model is wrong on CPU and on bytes: 0.1 for a tenth too much or too little."""
        said = predict(self.demand, costs)
        if self.took:
            cpu, sent = said.recovery_cpu, self.demand.instances * costs.handshake_bytes
        else:
            cpu, sent = said.cpu, said.sent
        return abs(cpu / self.cpu - 1), abs(sent / self.sent - 1)


class _Account:
    """A server's work without its heartbeats: microseconds of CPU, and bytes sent."""

    def __init__(self, lab: Lab, server: Server, beat: float, beat_bytes: float) -> None:
        self._lab, self._server = lab, server
        self._beat, self._beat_bytes = beat, beat_bytes
        self.cpu = self.sent = 0.0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Add the work inside the block."""
        with self._lab.spent(self._server) as spent:
            yield
        self.cpu += spent.cpu * 1e6 - _beats(spent) * self._beat
        self.sent += spent.sent - _beats(spent) * self._beat_bytes


def _beats(spent: Spent) -> int:
    """Return the heartbeats: each asks for ``INFO replication``, and no other call of an online instance does."""
    return spent.commands["info"]


def _least_disturbed(engine: str, measure: Callable[[Lab], T], cpu: Callable[[T], float]) -> T:
    """Measure several times, each in a laboratory of its own; return the result with the least CPU.

    Other work on the machine takes caches and clock from the server, so it only adds.
    """
    found = []
    for _ in range(TIMES):
        with Lab(engine) as lab:
            found.append(measure(lab))
    return min(found, key=cpu)


def calibrate(engine: str) -> Costs:
    """Measure all costs on a server of this engine."""
    costs = _least_disturbed(engine, _of_reads, lambda found: found.beat + found.push + found.read)
    few, many = (
        _least_disturbed(engine, partial(_work_of_restart, size), lambda spent: spent.cpu) for size in RESTARTED
    )
    handshake = (many.cpu - few.cpu) * 1e6 / (RESTARTED[1] - RESTARTED[0])
    herd = _least_disturbed(engine, lambda lab: asyncio.run(_herd(lab)), lambda spent: spent.cpu)
    waits = HERD * HERDS
    return replace(
        costs,
        handshake=handshake,
        restart=few.cpu * 1e6 - RESTARTED[0] * handshake,
        handshake_bytes=many.sent / RESTARTED[1],
        wait=(herd.cpu * 1e6 - _beats(herd) * costs.beat) / waits,
        wait_bytes=(herd.sent - _beats(herd) * costs.beat_bytes) / waits - SMALL,
    )


def _of_reads(lab: Lab) -> Costs:
    """Measure heartbeats, pushes and reads."""
    server = lab.server()
    crowd = _connected(lab, server, CLIENTS)
    time.sleep(1.0)
    with lab.spent(server) as resting:
        time.sleep(SECONDS)
    beat, beat_bytes = resting.cpu * 1e6 / _beats(resting), resting.sent / _beats(resting)
    pushing, small, large = (_Account(lab, server, beat, beat_bytes) for _ in range(3))
    with server.client() as client:
        for reading, size in ((small, SMALL), (large, LARGE)):
            client("SET", RAW, b"x" * size)
            for _ in range(ROUNDS):
                with reading.open():
                    crowd.read(KEY)
                before = crowd.report()["pushes"]
                with pushing.open():
                    client("SET", RAW, b"x" * size)
                    crowd.until_pushed(before)
    each = CLIENTS * ROUNDS
    return Costs(
        beat=beat,
        push=pushing.cpu / each / 2,
        read=small.cpu / each,
        kilobyte=max(0.0, (large.cpu - small.cpu) / each / (LARGE - SMALL) * 1000),
        wait=0.0,
        handshake=0.0,
        restart=0.0,
        beat_bytes=beat_bytes,
        push_bytes=pushing.sent / each / 2,
        read_bytes=small.sent / each - SMALL,
        wait_bytes=0.0,
        handshake_bytes=0.0,
    )


def _restarted(lab: Lab, instances: int) -> tuple[Spent, float]:
    """Restart a server under its fleet: return the server's work for the fleet, and the seconds until all are back."""
    server = lab.server()
    with lab.spent(server) as starting:
        server.restart()
    crowd = _connected(lab, server, instances, **NO_BEATS)
    with lab.spent(server) as spent:
        server.kill()
        time.sleep(2.0)
        server.restart()
        took = crowd.until_online()
    spent.cpu -= starting.cpu
    return spent, took


def _work_of_restart(instances: int, lab: Lab) -> Spent:
    return _restarted(lab, instances)[0]


async def _herd(lab: Lab) -> Spent:
    """Have a small fleet load a key again and again: one instance loads, all wait."""
    server = lab.server()
    async with lab.fleet(server, HERD, **UNHURRIED) as caches:
        await _change(caches, SMALL)
        with lab.spent(server) as spent:
            for _ in range(HERDS):
                await _change(caches, SMALL)
    return spent


async def _change(caches: Sequence[Cache], size: int) -> None:
    """Remove the key, then have all instances ask for it at once."""

    async def load() -> bytes:
        await asyncio.sleep(0.02)
        return b"x" * size

    await caches[0].delete(KEY)
    await asyncio.gather(*(cache.get_or_set(KEY, load) for cache in caches))


def points(engine: str) -> Iterator[Point]:
    """Measure four demands of other sizes."""
    demands: tuple[Callable[[Lab], Point], ...] = (
        lambda lab: _read_again(lab, 1_000, rate=4.0, size=SMALL),
        lambda lab: _read_again(lab, 3_000, rate=1.0, size=1_000),
        lambda lab: asyncio.run(_loaded(lab, 100, rate=3.0, size=2_000)),
        lambda lab: _back(lab, 2_000),
    )
    for demand in demands:
        yield _least_disturbed(engine, demand, lambda point: point.cpu)


def _connected(lab: Lab, server: Server, instances: int, **settings: Any) -> Crowds:
    crowd = Crowds(lab, server.url, instances, **settings)
    for begun in range(250, instances + 1, 250):
        crowd.begin(250)
        crowd.until_online(begun)
    return crowd


def _read_again(lab: Lab, instances: int, *, rate: float, size: int) -> Point:
    """Write a key that all instances hold, and have all of them read it again."""
    server = lab.server()
    crowd = _connected(lab, server, instances)
    writes, seconds = int(rate * SECONDS), 0.0
    with server.client() as client:
        client("SET", RAW, b"x" * size)
        crowd.read(KEY)
        began = time.monotonic()
        with lab.spent(server) as spent:
            for number in range(writes):
                before = crowd.report()["pushes"]
                client("SET", RAW, b"x" * size)
                crowd.until_pushed(before)
                crowd.read(KEY)
                time.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
        seconds = time.monotonic() - began
    beats = _beats(spent) / instances / seconds
    demand = Demand(instances, writes=writes / seconds, holders=instances, value=size, beats=beats)
    what = f"{instances:,} instances read a key again after each of {rate:g} writes a second"
    return Point(what, demand, spent.cpu / seconds, spent.sent / seconds)


async def _loaded(lab: Lab, instances: int, *, rate: float, size: int) -> Point:
    """Remove a key that all instances hold, and have all of them ask for it."""
    server = lab.server()
    async with lab.fleet(server, instances, **UNHURRIED) as caches:
        await _change(caches, size)
        changes, began = int(rate * SECONDS), time.monotonic()
        with lab.spent(server) as spent:
            for number in range(changes):
                await _change(caches, size)
                await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
        seconds = time.monotonic() - began
    beats = _beats(spent) / instances / seconds
    demand = Demand(instances, writes=changes / seconds, holders=instances, loaded=True, value=size, beats=beats)
    what = f"{instances:,} instances wait for the load after each of {rate:g} removals a second"
    return Point(what, demand, spent.cpu / seconds, spent.sent / seconds)


def _back(lab: Lab, instances: int) -> Point:
    """Restart the server."""
    spent, took = _restarted(lab, instances)
    what = f"{instances:,} instances come back to a server that restarts"
    return Point(what, Demand(instances), spent.cpu, spent.sent, took)
