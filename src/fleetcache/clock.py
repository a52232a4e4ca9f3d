"""Time, as an argument. Each part that needs the time is given a ``Clock``; tests pass their own clock.

A clock returns seconds since some fixed point and never goes back. ``CLOCK_BOOTTIME`` runs while the host sleeps, so
a laptop or a paused virtual machine that wakes up does not trust copies that are hours old. Python offers no such clock
on macOS, where the monotonic clock is used.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat, starmap

__all__ = ["Clock", "CountingClock", "monotonic", "system_random"]

Clock = Callable[[], float]


# A partial of the C function is faster than a Python function around it, and every call of a cache reads the clock.
monotonic: Clock = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class CountingClock:
    """A clock that is read by ``next(ticks.read)``, and the number of these readings.

    For the one line that every near hit runs: the arguments of the clock are made once, and counting costs nothing,
    because ``repeat`` counts anyway. Together that saves a fifth of a hit.

    Example:
        >>> ticks = CountingClock(lambda: 7.0)
        >>> next(ticks.read), next(ticks.read), ticks.count
        (7.0, 7.0, 2)
    """

    def __init__(self, clock: Clock) -> None:
        call, args = (clock.func, clock.args) if isinstance(clock, partial) else (clock, ())
        self._left = repeat(args, sys.maxsize)
        self.read: Iterator[float] = starmap(call, self._left)

    @property
    def count(self) -> int:
        """The number of readings so far."""
        return sys.maxsize - self._left.__length_hint__()


def system_random() -> float:
    """Return a number in [0, 1) for rarely needed jitter. Importing ``random`` would cost every start 2 ms."""
    return int.from_bytes(os.urandom(6), "big") / 2**48
