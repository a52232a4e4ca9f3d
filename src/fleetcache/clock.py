"""Time, as an argument. Everything that needs it is handed a ``Clock``; tests hand in their own.

Seconds since some fixed point, never going back. ``CLOCK_BOOTTIME`` goes on while the host sleeps, so that a laptop or
a paused virtual machine that wakes up does not trust copies that are hours old; macOS has no such clock for us and its
monotonic one is used.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat, starmap

__all__ = ["Clock", "CountingClock", "monotonic", "system_random"]

Clock = Callable[[], float]


# A partial of the C function, not a function around it: every call of ours reads it.
monotonic: Clock = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class CountingClock:
    """The same clock, read by ``next(ticks.read)``, and how often it was read so.

    For the one line that every near hit runs: what the clock is called with is made once, and counting costs nothing,
    because ``repeat`` counts anyway. Together that is a fifth of a hit.

    Example:
        >>> ticks = Ticks(lambda: 7.0)
        >>> next(ticks.read), next(ticks.read), ticks.count
        (7.0, 7.0, 2)
    """

    def __init__(self, clock: Clock) -> None:
        call, args = (clock.func, clock.args) if isinstance(clock, partial) else (clock, ())
        self._left = repeat(args, sys.maxsize)
        self.read: Iterator[float] = starmap(call, self._left)

    @property
    def count(self) -> int:
        """Readings so far."""
        return sys.maxsize - self._left.__length_hint__()


def system_random() -> float:
    """In [0, 1): for jitter, which is asked for seldom. The ``random`` module would cost every start 2 ms."""
    return int.from_bytes(os.urandom(6), "big") / 2**48
