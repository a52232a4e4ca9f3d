"""Seeds played one after the other: the task of one process, in a module that a fresh process can import."""

import gc
from contextlib import nullcontext

from tests.rules.breaking import mutated
from tests.simulation import workload
from tests.simulation.run import play

__all__ = ["broken"]


def broken(seeds: range, mutation: str | None = None) -> list[tuple[int, str, str]]:
    """Return the seeds of a range that break a promise, each with its rule and its violation."""
    found = []
    with mutated(mutation) if mutation else nullcontext():
        for seed in seeds:
            violation = play(workload.draw(seed)).violation
            if violation is not None:
                found.append((seed, violation.rule, violation.text))
    gc.collect()
    return found
