"""How long one awaited call takes its caller, with what the machine did to other processes meanwhile left out."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

__all__ = ["kept_waiting", "timed"]


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
