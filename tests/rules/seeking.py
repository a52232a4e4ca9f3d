"""The seed of the simulation that finds a defect: the last known one, or another."""

import gc
import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tests.rules.breaking import mutated
from tests.rules.table import ROWS, SEEDS_FILE
from tests.simulation import workload
from tests.simulation.plan import read
from tests.simulation.run import play

__all__ = ["BUDGET", "FOUND", "known_seeds", "seed_that_finds", "write_seeds"]

# Plans that broke a promise before the cache was fixed, each made smaller, by the seed of the original plan.
FOUND = Path(__file__).parents[1] / "simulation" / "found"

# A defect is found within this many schedules, as many as CI plays.
BUDGET = 3000


def known_seeds() -> dict[str, int]:
    """Return the last known seed by the row's name. If the order of events has changed, another seed may find it."""
    seeds: dict[str, int] = json.loads(SEEDS_FILE.read_text(encoding="utf-8"))
    return seeds


def write_seeds(seeds: dict[str, int]) -> None:
    """Keep the seeds that found the defects."""
    SEEDS_FILE.write_text(json.dumps(seeds, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def seed_that_finds(name: str, budget: int = BUDGET) -> int | None:
    """Return the known seed, or else the first that finds it; for a kept plan, its seed or None."""
    kind, _, kept = ROWS[name].found_by.partition(" ")
    if kind == "plan":
        with mutated(name):
            plan = read((FOUND / f"{kept}.json").read_bytes())
            return plan.seed if play(plan).violation is not None else None
    known = known_seeds()
    return _first(name, chain([known[name]] if name in known else [], range(budget)))


def _first(name: str, seeds: Iterable[int]) -> int | None:
    with mutated(name):
        for seed in seeds:
            if play(workload.draw(seed)).violation is not None:
                return seed
            if seed % 25 == 0:
                gc.collect()
    return None
