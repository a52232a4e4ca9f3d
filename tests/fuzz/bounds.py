"""Bounds of one input's cost: none may run for long, none may take memory that its size does not explain."""

import time
import tracemalloc
from collections.abc import Callable

__all__ = ["OverBoundsError", "bounded"]

# Processor time, which does not grow when the machine is busy. Inputs have some kilobytes; unrolled, they have some MB.
MOST_SECONDS = 2.0
# The parser goes 1,024 levels deep with room for 9,999 elements each; no other part comes near it.
MOST_BYTES = 100_000_000


class OverBoundsError(AssertionError):
    """An input took too long or too much memory."""


def bounded(one_input: Callable[[bytes], None], data: bytes) -> None:
    """Run one input and check its cost. ``tracemalloc`` must have been started."""
    tracemalloc.reset_peak()
    held = tracemalloc.get_traced_memory()[0]
    began = time.process_time()
    one_input(data)
    took = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1] - held
    if took > MOST_SECONDS:
        raise OverBoundsError(f"{took:.1f} s for one input; at most {MOST_SECONDS} s")
    if peak > MOST_BYTES:
        raise OverBoundsError(f"{peak} bytes for one input; at most {MOST_BYTES}")
