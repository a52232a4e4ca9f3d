"""The fleet under simulation keeps its promises, and the simulation notices a fleet that breaks them."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.rules.breaking import mutated
from tests.rules.seeking import BUDGET, FOUND
from tests.simulation import workload
from tests.simulation.chunks import broken
from tests.simulation.plan import Fault, Load, Op, Plan, read, written
from tests.simulation.run import play
from tests.simulation.shrink import shrink
from tests.simulation.story import told

ROOT = Path(__file__).parents[2]
# The tests run as many schedules as fit in a few seconds; CI plays a few thousand.
SCHEDULES = int(os.environ.get("FLEETCACHE_SCHEDULES", "300"))


def test_random_fleets_keep_every_promise() -> None:
    size = 25
    chunks = [range(first, min(first + size, SCHEDULES)) for first in range(0, SCHEDULES, size)]
    # New processes, because the measure of coverage in this one would make the runs ten times as slow.
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = [one for chunk in pool.map(broken, chunks) for one in chunk]
    assert not found, f"to see the story: python -m tests.simulation {found[0][0]}\n{found}"


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    run = play(read(path.read_bytes()))
    assert run.violation is None, told(run)


def story(seed: int) -> str:
    return told(play(workload.draw(seed), every_word=True))


def test_the_same_seed_is_the_same_run_word_for_word() -> None:
    seeds = range(8)
    here = hashlib.sha256("".join(map(story, seeds)).encode()).hexdigest()
    code = (
        "import hashlib\nfrom tests.simulation.test_promises import story\n"
        f"print(hashlib.sha256(''.join(map(story, {seeds})).encode()).hexdigest())"
    )
    # Another process has other addresses and other hashes.
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    there = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here
    assert len(set(map(story, seeds))) == len(seeds), "another seed is another run"


def test_a_failing_plan_is_made_smaller_and_told() -> None:
    with mutated("counter_versions"):
        seed = next(seed for seed in range(BUDGET) if play(workload.draw(seed)).violation is not None)
        plan = workload.draw(seed)
        violation = play(plan).violation
        assert violation is not None
        smaller = shrink(plan, violation.rule)
        run = play(smaller)
        assert run.violation is not None
        assert run.violation.rule == violation.rule
        assert len(smaller.ops) <= 3
        assert len(smaller.instances) == 1
        assert smaller.faults == []
        text = told(run)
        assert f"seed {seed}" in text
        assert "loads" in text
        assert "link online" in text
        assert text.splitlines()[-1].endswith(str(run.violation))
        again = told(play(read(written(smaller))))
    assert again == text, "a plan that was kept is the same run"


def test_one_load_is_shared_by_all_who_ask_at_once() -> None:
    ops = [Op(0.5, who, "get_or_set", ["k"], load=Load(0.1)) for who in "AAABBBCCC"]
    run = play(Plan(1, list("ABC"), {"k": ["x"]}, ops, []))
    assert run.violation is None
    assert [who for _, who, text in run.story if text.startswith("loads")] in (["A"], ["B"], ["C"])


# Plans that blamed the cache for defects of the simulation: it read near's counter as a version, forgot that the
# server's clock counts leases, judged a dead link too early, did not wait for a stalled loop, overtook held bytes,
# counted a lease from the death of its holder though the kernel delivered the request for it later,
# and asked an instance that repeats its removals on another server to wait for a load.
BLAMED = [200053, 203980, 211099, 214505, 220964, 238167, 242853, 403548, 415778, 513837, 607878]


@pytest.mark.parametrize("seed", BLAMED)
def test_what_was_no_defect_is_not_taken_for_one_again(seed: int) -> None:
    run = play(workload.draw(seed))
    assert run.violation is None, told(run)


def test_a_counter_that_near_holds_is_no_version_of_the_source() -> None:
    ops = [Op(3.57, "A", "incr", ["k"]), Op(5.28, "B", "clear", ["k"]), Op(5.86, "B", "incr", ["k"])]
    run = play(Plan(1, list("AB"), {"k": ["x"]}, ops, [Fault(0.2, "suspend", "A", 5.903)]))
    assert run.violation is None, told(run)
