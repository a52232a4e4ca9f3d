"""Time, as an argument. Everything that needs it is handed a ``Clock``; tests hand in their own.

Seconds since some fixed point, never going back. ``CLOCK_BOOTTIME`` goes on while the host sleeps, so that a laptop or
a paused virtual machine that wakes up does not trust copies that are hours old; macOS has no such clock for us and its
monotonic one is used.
"""

import os
import time
from collections.abc import Callable
from functools import partial

__all__ = ["Clock", "monotonic", "system_random"]

Clock = Callable[[], float]


# A partial of the C function, not a function around it: this stands on the near-hit path.
monotonic: Clock = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


def system_random() -> float:
    """In [0, 1): for jitter, which is asked for seldom. The ``random`` module would cost every start 2 ms."""
    return int.from_bytes(os.urandom(6), "big") / 2**48
