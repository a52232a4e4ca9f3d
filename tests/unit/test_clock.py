"""Clocks: a clock that goes on while the host sleeps, and a near hit's way to read one and count the readings."""

import time
from functools import partial

import pytest

from fleetcache.clock import CountingClock, monotonic, system_random
from tests.support.clock import ManualClock


def test_the_clock_goes_on_while_the_host_sleeps() -> None:
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        pytest.skip("this system has no CLOCK_BOOTTIME")
    before = time.clock_gettime(boot)
    assert before <= monotonic() <= time.clock_gettime(boot)


def test_a_counting_clock_reads_the_clock_anew_each_time() -> None:
    clock = ManualClock()
    counting = CountingClock(clock)
    first = next(counting.read)
    clock.advance(5)
    assert (next(counting.read) - first, counting.count) == (5, 2)


def test_a_partial_is_read_with_its_own_arguments() -> None:
    counting = CountingClock(partial(max, 3.0, 7.0))
    assert [next(counting.read) for _ in range(3)] == [7.0] * 3
    assert counting.count == 3


def test_nothing_is_counted_before_the_first_reading() -> None:
    assert CountingClock(ManualClock()).count == 0


def test_random_numbers_are_below_one_and_differ() -> None:
    drawn = [system_random() for _ in range(200)]
    assert all(0 <= number < 1 for number in drawn)
    assert len(set(drawn)) == len(drawn)
    assert max(drawn) - min(drawn) > 0.5
