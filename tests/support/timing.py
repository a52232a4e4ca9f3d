"""The time that an awaited call takes its caller, without the time that the machine gave to other processes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Self

__all__ = ["Stalls", "kept_waiting", "timed"]


def kept_waiting() -> float:
    """Return the seconds in which this thread was ready but another had the processor: no cost of a call. Linux."""
    schedule = Path("/proc/thread-self/schedstat")
    return int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0


async def timed(call: Callable[[], Awaitable[object]]) -> tuple[float, object]:
    """Return the seconds that a call took, and its result or its exception."""
    waited, began = kept_waiting(), perf_counter()
    try:
        given: object = await call()
    except Exception as raised:  # noqa: BLE001 - to count it
        given = raised
    return perf_counter() - began - (kept_waiting() - waited), given


class Stalls:
    """The time that callbacks held up the event loop during the ``with`` block, beyond a normal turn.

    For scenes that share a loop, and an interpreter with threads that start servers: the time of these is no cost of a
    call. A call that waits for an answer does not hold the loop up, so the measure hides no waiting.

    Attributes:
        seconds: The sum of all stalls.
    """

    _LOOK, _TURN = 0.005, 0.01  # seconds

    def __init__(self) -> None:
        self.seconds = 0.0

    async def _watch(self) -> None:
        while True:
            began = perf_counter()
            await asyncio.sleep(self._LOOK)
            late = perf_counter() - began - self._LOOK
            if late > self._TURN:
                self.seconds += late

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
