"""Alternating short rounds: ours, the peer's, ours, the peer's. The machine's noise then affects both alike.

The ratios of the rounds are compared, and their median is reported.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

from benchmarks.figures import Effort

__all__ = ["Subject", "alternate", "awaiting", "calling", "throughput"]

# Runs this many calls, and returns their seconds in all.
Subject = Callable[[int], Awaitable[float]]

_LEAST_CALLS = 10
_BREATH = 0.002  # seconds: a heartbeat takes a few turns of the loop and a round trip
# A round of a slow side must end, too: the calibration runs at most this many calls.
_MOST_CALLS = 1_000_000


def awaiting(call: Callable[[Any], Awaitable[object]], argument: Any) -> Subject:
    """Return one task that awaits one call after the other."""

    async def run(calls: int) -> float:
        began = time.perf_counter()
        for _ in repeat(None, calls):
            await call(argument)
        return time.perf_counter() - began

    return run


def calling(call: Callable[[Any], object], argument: Any) -> Subject:
    """Return a subject for a plain call, as ``awaiting`` does for an awaitable one."""

    async def run(calls: int) -> float:
        began = time.perf_counter()
        for _ in repeat(None, calls):
            call(argument)
        return time.perf_counter() - began

    return run


def throughput(call: Callable[[str], Awaitable[object]], keys: Sequence[str], tasks: int) -> Subject:
    """Return this many tasks that await one call after the other, each through all keys from its own start."""
    apart = max(1, len(keys) // tasks)

    async def worker(task: int, calls: int) -> None:
        for number in range(task * apart, task * apart + calls):
            await call(keys[number % len(keys)])

    async def run(calls: int) -> float:
        each = max(1, calls // tasks)
        began = time.perf_counter()
        await asyncio.gather(*(worker(task, each) for task in range(tasks)))
        return (time.perf_counter() - began) * calls / (each * tasks)

    return run


async def alternate(
    subjects: Mapping[str, Subject], effort: Effort, *, least: int = _LEAST_CALLS
) -> dict[str, list[float]]:
    """Run all subjects in turn, round after round, each round beginning with another one.

    Args:
        subjects: The subjects by name.
        effort: The number of rounds, and the time of one.
        least: The least number of calls in a round.

    Returns:
        Seconds a call, by subject, one figure a round.
    """
    calls = {name: await _calibrate(subject, effort.seconds, least) for name, subject in subjects.items()}
    figures: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(effort.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            figures[name].append(await subjects[name](calls[name]) / calls[name])
            # A subject that never waits starves the loop, and a cache without news of its server no longer trusts near.
            await asyncio.sleep(_BREATH)
    return figures


async def _calibrate(subject: Subject, seconds: float, least: int) -> int:
    """Return the number of calls that fill a round; warms up on the way."""
    calls = least
    while (took := await subject(calls)) < seconds / 4 and calls < _MOST_CALLS:
        calls *= 4
    return max(least, min(_MOST_CALLS, int(calls * seconds / max(took, 1e-9))))
