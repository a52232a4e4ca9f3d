"""The time from ``delete`` on one instance to a miss on another, beside a bare publish/subscribe hop.

Both go through one event loop and are awaited alike: the loop turns until the miss or the message.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import hiredis

from benchmarks.figures import Effort, Figures, Row, middle, shown
from fleetcache import MISSING, Cache

KEY = "user:42"

PUBLISH = b"PUBLISH bench user:42\r\n"

_MILLI = 1e3
_PATIENCE = 5.0


class Subscriber(asyncio.Protocol):
    """A connection and a parser, nothing more. Counts the messages it gets."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self.frames = 0

    def connection_made(self, transport: Any) -> None:
        """Keep the transport for writing."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Count the messages."""
        self._reader.feed(data)
        while self._reader.gets() is not False:
            self.frames += 1


async def delete_to_miss(url: str, effort: Effort) -> Figures:
    """Measure the 99th percentile of each, in alternating rounds."""
    samples, rounds = (20, 3) if effort.quick else (300, 11)
    found: dict[str, list[float]] = {"ours": [], "hop": []}
    medians: dict[str, list[float]] = {"ours": [], "hop": []}
    async with Cache(url, prefix="bench-removal") as here, Cache(url, prefix="bench-removal") as there:
        publisher, subscriber = await _connected(url)
        for _ in range(rounds):
            pairs = [(await _miss(here, there), await _hop(publisher, subscriber)) for _ in range(samples)]
            for name, times in zip(found, zip(*pairs, strict=True), strict=True):
                found[name].append(_p99(times))
                medians[name].append(middle(times) * _MILLI)
        for connection in (publisher, subscriber):
            connection.transport.close()
    usual = Figures.of(medians, "hop", {})
    note = f"the median, less disturbed, is {shown(usual.ratio)} x that of a hop: {shown(usual.ours, 'ms')}"
    return replace(Figures.of(found, "hop", {}), note=note)


async def _miss(here: Cache, there: Cache) -> float:
    await here.set(KEY, "x" * 100, strict=True)
    while await there.get(KEY) is None or there.peek(KEY, MISSING) is MISSING:  # noqa: ASYNC110 - a push is no Event
        await asyncio.sleep(0)
    began = time.perf_counter()
    removal = asyncio.ensure_future(here.delete(KEY))
    await _until(lambda: there.peek(KEY, MISSING) is MISSING)
    took = time.perf_counter() - began
    assert await removal, "the server did not acknowledge the removal"
    return took


async def _hop(publisher: Subscriber, subscriber: Subscriber) -> float:
    expected = subscriber.frames + 1
    began = time.perf_counter()
    publisher.transport.write(PUBLISH)
    await _until(lambda: subscriber.frames == expected)
    return time.perf_counter() - began


async def _until(happened: Callable[[], bool]) -> None:
    give_up = time.perf_counter() + _PATIENCE
    while not happened():
        if time.perf_counter() > give_up:
            raise TimeoutError(f"nothing came within {_PATIENCE} s")
        await asyncio.sleep(0)


async def _connected(url: str) -> tuple[Subscriber, Subscriber]:
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    (_, publisher), (_, subscriber) = [
        await loop.create_connection(Subscriber, str(where.hostname), where.port or 6379) for _ in range(2)
    ]
    subscriber.transport.write(b"SUBSCRIBE bench\r\n")
    await _until(lambda: subscriber.frames == 1)
    return publisher, subscriber


def _p99(samples: Sequence[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.99)] * _MILLI


ROWS = (
    Row("removal", "`delete` on A → miss on B, p99, loopback", "publish/subscribe hop, p99", "ms", 3, delete_to_miss),
)
