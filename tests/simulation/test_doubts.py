"""Tags in doubt: fleets in which a push for a tag comes late, and calls come close around it.

Random fleets seldom meet these moments, so the plans here are drawn for them.
"""

import random
from collections.abc import Callable

import pytest

from tests.simulation.plan import Fault, Load, Op, Plan
from tests.simulation.run import play
from tests.simulation.story import told

QUICK = Load(0.01)


def push_held_back(seed: int) -> Plan:
    """A push for a tag is held back for seconds, and its reader asks many things in the moment that it arrives."""
    rng = random.Random(f"held back {seed}")
    began, lasts = 0.5, rng.uniform(2.1, 4.5)
    faults = [Fault(began, "hold", "A", lasts, "down")]
    if rng.random() < 0.5:
        faults.append(Fault(began + lasts - 0.1, "slow", "A", 2.0, rng.choice(("0.05", "0.1"))))
    ops = [Op(0.1, "A", "get_or_set", ["k"], load=QUICK)]
    ops.append(Op(began + rng.uniform(0.0, 0.3), "B", rng.choice(("tags", "clear")), ["x"]))
    ops += [
        Op(began + rng.uniform(-0.1, 0.3), "A", "get_or_set", [rng.choice(["k", "k2"])], load=QUICK)
        for _ in range(rng.choice((0, 2, 5)))
    ]
    at, step = began + lasts - 0.02, rng.choice((0.0005, 0.001, 0.004))
    for _ in range(120):
        at += step * rng.uniform(0.5, 1.5)
        ops.append(Op(at, "A", "get", [rng.choice(["k", "k", "k2", "k3"])]))
    return _plan(rng, seed, {"k": ["x"], "k2": ["x"], "k3": []}, ops, faults)


def reads_around_the_push(seed: int) -> Plan:
    """A process on a slow connection reads many entries of a tag while another process removes the tag."""
    rng = random.Random(f"around {seed}")
    keys = [f"k{number}" for number in range(8)]
    ops = [Op(0.1, "B", "get_or_set", [key], load=QUICK) for key in keys]
    ops += [Op(0.3, "A", "get_or_set", ["k0"], load=QUICK), Op(0.5, "B", "tags", ["x"])]
    for key in keys[1:]:
        ops.append(Op(0.5 + rng.uniform(0.0, 0.1), "A", rng.choice(("get_or_set", "get")), [key], load=QUICK))
    faults = [Fault(0.45, "slow", "A", 2.0, rng.choice(("0.02", "0.05", "0.1")))]
    return _plan(rng, seed, {key: ["x"] for key in keys}, ops, faults)


def pushes_without_a_change(seed: int) -> Plan:
    """The server pushes the tags again and again, and one of the pushes is a change."""
    rng = random.Random(f"without a change {seed}")
    keys = {"k": ["x"], "k2": ["x", "y"]}
    ops = [
        Op(rng.uniform(0.0, 4.0), who, rng.choice(("get", "get_or_set")), [key], load=QUICK)
        for who in "AAB"
        for key in keys
        for _ in range(8)
    ]
    ops += [
        Op(rng.uniform(1.0, 3.0), "B", rng.choice(("tags", "clear", "delete")), [rng.choice("xy")]) for _ in range(2)
    ]
    for op in ops:
        op.keys = [rng.choice(list(keys))] if op.verb == "delete" else op.keys
    faults = [Fault(rng.uniform(0.3, 4.0), "untrack", how=rng.choice("ttte")) for _ in range(20)]
    faults.append(
        Fault(rng.uniform(0.5, 3.0), rng.choice(("hold", "slow", "stall")), "A", rng.uniform(0.05, 2.5), "0.1")
    )
    faults[-1].how = "down" if faults[-1].kind == "hold" else faults[-1].how
    return _plan(rng, seed, keys, ops, faults)


def _plan(rng: random.Random, seed: int, keys: dict[str, list[str]], ops: list[Op], faults: list[Fault]) -> Plan:
    ops.sort(key=lambda op: op.at)
    faults.sort(key=lambda fault: fault.at)
    latency, cuts = rng.choice((0.0002, 0.003)), rng.choice((0.1, 0.5, 0.8))
    return Plan(seed, ["A", "B"], keys, ops, faults, latency=latency, cut_chance=cuts)


@pytest.mark.parametrize("draw", [push_held_back, reads_around_the_push, pushes_without_a_change])
def test_an_entry_in_doubt_answers_no_longer_than_promised(draw: Callable[[int], Plan]) -> None:
    for seed in range(100):
        run = play(draw(seed))
        assert run.violation is None, told(run)
