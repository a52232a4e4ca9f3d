"""Breaks each rule on purpose and checks that a test finds it: ``make rules``.

python -m tests.rules                            all rows of the table
python -m tests.rules no_journal touch_loses     these
python -m tests.rules no_journal --seek tests/unit tests/faults   the tests that find it
python -m tests.rules no_journal --seek simulation               the seed that finds it, kept in seeds.json
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from tests.rules.rule import SIMULATION, Row
from tests.rules.seeking import BUDGET, known_seeds, seed_that_finds, write_seeds
from tests.rules.table import ROWS

__all__ = ["found_by_seeds", "main", "run_tests"]

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run the rows of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.rules", description="Breaks each rule on purpose.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows; none = all")
    parser.add_argument("--seek", nargs="+", metavar="WHERE", help="tests, or simulation: what finds the defects")
    parser.add_argument("--budget", type=int, default=BUDGET, help="schedules to play in vain")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    rows = [ROWS[name] for name in options.names] or list(ROWS.values())
    if options.seek and options.seek != [SIMULATION]:
        return run_tests(rows, options.seek, seek=True)
    simulated = [row.name for row in rows if options.seek or row.simulated]
    missed = _play(simulated, options.processes, options.budget)
    tested = [] if options.seek else [row for row in rows if not row.simulated]
    status = run_tests(tested, sorted({row.found_by for row in tested})) if tested else 0
    return status or bool(missed)


def _play(names: list[str], processes: int, budget: int) -> list[str]:
    found = found_by_seeds(names, processes, budget)
    for name, seed in found.items():
        sys.stdout.write(f"{name}: {'NOT FOUND' if seed is None else f'seed {seed}'}\n")
    kept = {name: seed for name, seed in known_seeds().items() if name in ROWS and ROWS[name].found_by == SIMULATION}
    write_seeds(
        kept | {name: seed for name, seed in found.items() if seed is not None and " " not in ROWS[name].found_by}
    )
    return [name for name, seed in found.items() if seed is None]


def found_by_seeds(names: Iterable[str], processes: int, budget: int = BUDGET) -> dict[str, int | None]:
    """Return the seed that finds each row, played in new processes, because the measure of coverage would slow them."""
    names = list(names)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        return dict(zip(names, pool.map(seed_that_finds, names, repeat(budget)), strict=True))


def run_tests(rows: list[Row], where: list[str], *, seek: bool = False) -> int:
    """Run tests with and without the defects; 0 if each was found."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.rules.again", "-o"]
    command += ["timeout=600", "--rows", ",".join(row.name for row in rows), *(["--seek"] if seek else []), *where]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own code


if __name__ == "__main__":
    sys.exit(main())
