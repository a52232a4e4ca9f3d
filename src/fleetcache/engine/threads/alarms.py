"""Alarms of a cache without a link thread: one thread rings them all. Limits of loads and burials need them.

1. One daemon thread at most rings the alarms of a cache. It sleeps until an alarm is due.
2. The thread ends when it has had no alarm for a second.
3. An alarm that fails is in the log, and the other alarms ring.

All code here runs under the monitor.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import TIMEOUT_MAX, Thread
from time import monotonic

from .monitor import Monitor, ThreadFuture, begin

__all__ = ["Alarms"]

# Seconds that the thread stays without an alarm. Each load with a limit sets an alarm and cancels it, often within
# microseconds, and to begin a thread for each takes longer than many a load.
IDLE = 1.0


class _Alarm:
    __slots__ = ("_alarms", "ring", "when")

    def __init__(self, alarms: "Alarms", when: float, ring: Callable[[], None]) -> None:
        self._alarms, self.when, self.ring = alarms, when, ring

    def cancel(self) -> None:
        """Do not ring, in a thread that holds the monitor."""
        self._alarms.cancel(self)


class Alarms:
    """The alarms of one cache, and the thread that rings them while there are any.

    Args:
        monitor: Held by every caller, and by the thread while it rings an alarm.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._set: dict[_Alarm, None] = {}  # about as few as running loads: the thread looks at each for the first
        self._bell: ThreadFuture | None = None  # of the thread, if there is one
        self._wakes_at = float("inf")  # when the thread looks again by itself

    def add(self, delay: float, ring: Callable[[], None]) -> _Alarm:
        """Call ``ring`` after ``delay`` seconds, in the thread and under the monitor."""
        alarm = _Alarm(self, monotonic() + delay, ring)
        self._set[alarm] = None
        if self._bell is None:
            bell = ThreadFuture()
            with suppress(RuntimeError):  # the system has no more threads: the alarm rings if a later one has a thread
                begin(Thread(target=self._main, args=(bell,), name="fleetcache-alarm", daemon=True))
                self._bell = bell
        else:
            self._look_by(alarm.when)
        return alarm

    def cancel(self, alarm: _Alarm) -> None:
        """Take the alarm out, if it has not rung."""
        self._set.pop(alarm, None)
        if not self._set:
            self._look_by(monotonic() + IDLE)  # to end

    def _look_by(self, when: float) -> None:
        if self._bell is not None and when < self._wakes_at:
            self._bell.notify()

    def _main(self, bell: ThreadFuture) -> None:
        idle = False
        with self._monitor.locked():
            while self._bell is bell and (self._set or not idle):
                now, idle = monotonic(), not self._set
                first = min(self._set, key=_time, default=None)
                self._wakes_at = now + IDLE if first is None else first.when
                if self._wakes_at > now:
                    bell.wait(self._monitor, min(self._wakes_at - now, TIMEOUT_MAX))
                elif first is not None:
                    self._ring(first)
            if self._bell is bell:  # else a signal broke off ``add``
                self._bell = None

    def _ring(self, alarm: _Alarm) -> None:
        del self._set[alarm]
        try:
            alarm.ring()
        except Exception as error:  # noqa: BLE001 - a defect of the cache; it is in the log
            text = "defect: an alarm failed (%s); please report it"
            self._monitor.tell(logging.ERROR, "defect", text, type(error).__name__, error=error)


def _time(alarm: _Alarm) -> float:
    return alarm.when
