"""Runs the simulation for a range of seeds, on all processors, or plays one seed and tells its story.

python -m tests.simulation 0:2000           seeds 0 to 1999
python -m tests.simulation 4711             one seed; if it breaks a promise, made smaller and told
python -m tests.simulation 4711 --words     with every word on the wire
python -m tests.simulation some-plan.json   a plan that was kept
python -m tests.simulation 0:3000 --mutate no_journal    the first seed that finds a deliberate defect
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path

from tests.rules.breaking import mutated
from tests.rules.table import ROWS
from tests.simulation import workload
from tests.simulation.chunks import broken
from tests.simulation.plan import Plan, read, written
from tests.simulation.run import play
from tests.simulation.shrink import shrink
from tests.simulation.story import told

__all__ = ["main"]

# Seeds of one task of a process: enough that handing them out costs nothing, few enough to show progress.
CHUNK = 25
# Tasks of one process.
PER_PROCESS = 200


def main() -> int:
    """Run the seeds of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulates a whole fleet.")
    parser.add_argument("what", help="seeds as FIRST:END, one seed, or a file with a plan")
    parser.add_argument("--words", action="store_true", help="tell every word on the wire too")
    parser.add_argument("--whole", action="store_true", help="do not make a failing plan smaller")
    parser.add_argument("--mutate", choices=ROWS, metavar="NAME", help="with this deliberate defect")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="write the smaller plan of the first failure to this file")
    options = parser.parse_args()
    if ":" in options.what:
        first, end = (int(part) for part in options.what.split(":"))
        return _many(range(first, end), options)
    path = Path(options.what)
    plan = read(path.read_bytes()) if path.suffix == ".json" else workload.draw(int(options.what))
    return _one(plan, options)


def _say(text: str = "", end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def _one(plan: Plan, options: argparse.Namespace) -> int:
    with mutated(options.mutate) if options.mutate else nullcontext():
        violation = play(plan).violation
        if violation is not None and not options.whole:
            plan = shrink(plan, violation.rule)
        _say(told(play(plan, every_word=options.words)))
    if violation is None:
        _say("every promise was kept")
        return 0
    if options.keep:
        options.keep.write_bytes(written(plan))
    return 1


def _many(seeds: range, options: argparse.Namespace) -> int:
    began, done, found = time.monotonic(), 0, []
    for chunk in _played(seeds, options):
        done += min(CHUNK, len(seeds) - done)
        found += chunk
        for seed, rule, text in chunk if not options.mutate else ():
            _say(f"\nseed {seed}: {rule}: {text}")
        if found and options.mutate:
            _say(f"\n{options.mutate}: found by seed {found[0][0]} after {done} schedules: {found[0][1]}")
            return 0
        rate = done / (time.monotonic() - began)
        _say(f"\r{done} of {len(seeds)} schedules, {rate:.1f} a second, {len(found)} broken ", end="")
    _say()
    if not found:
        return 1 if options.mutate else 0
    for rule, count in Counter(rule for _, rule, _ in found).most_common():
        seed, _, text = next(one for one in found if one[1] == rule)
        _say(f"{count} x {rule}, such as seed {seed}: {text}")
    _say()
    _one(workload.draw(found[0][0]), options)
    _say(f"\nto play it again: python -m tests.simulation {found[0][0]} --words")
    return 1


def _played(seeds: range, options: argparse.Namespace) -> Iterator[list[tuple[int, str, str]]]:
    spawn = multiprocessing.get_context("spawn")
    # A process keeps 20 KB of each schedule it has played, so all are replaced now and then: together, because an
    # executor that replaces them one by one (max_tasks_per_child) can wait for ever, as of Python 3.11.
    share = CHUNK * PER_PROCESS * options.processes
    for begin in range(0, len(seeds), share):
        part = seeds[begin : begin + share]
        chunks = [part[at : at + CHUNK] for at in range(0, len(part), CHUNK)]
        # Not a Pool: it waits for ever when one of its processes is killed.
        with ProcessPoolExecutor(options.processes, mp_context=spawn) as pool:
            yield from pool.map(broken, chunks, repeat(options.mutate))


if __name__ == "__main__":
    sys.exit(main())
