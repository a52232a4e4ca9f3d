"""Time, as an argument. Everything that needs it is handed a ``Clock``; tests hand in their own.

Seconds since some fixed point, never going back. ``CLOCK_BOOTTIME`` goes on while the host sleeps, so that a laptop or
a paused virtual machine that wakes up does not trust copies that are hours old; macOS has no such clock for us and its
monotonic one is used.
"""

import time
from collections.abc import Callable

__all__ = ["Clock", "monotonic"]

Clock = Callable[[], float]


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


monotonic: Clock = _boottime if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
