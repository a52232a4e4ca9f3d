"""How long one awaited call takes its caller, with what the machine did to other processes meanwhile left out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Self

__all__ = ["Stalls", "kept_waiting", "timed"]


def kept_waiting() -> float:
    """Seconds this thread was ready to run and another had the processor: no cost of the call. Linux tells."""
    schedule = Path("/proc/thread-self/schedstat")
    return int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0


async def timed(call: Callable[[], Awaitable[object]]) -> tuple[float, object]:
    """How many seconds a call took, and what it gave; what it raised is given, too."""
    waited, began = kept_waiting(), perf_counter()
    try:
        given: object = await call()
    except Exception as raised:  # noqa: BLE001 - to count it
        given = raised
    return perf_counter() - began - (kept_waiting() - waited), given


class Stalls:
    """How long the event loop was held up while this was entered, beyond what a turn of it takes.

    For scenes that share a loop, and an interpreter with threads that start servers: what they take of it is no cost of
    a call. Who waits for an answer does not hold the loop up, so it hides nothing of that.

    Attributes:
        seconds: All stalls together.
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
