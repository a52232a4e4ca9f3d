"""What users do, drawn from a seed: few keys, few verbs, and many calls at the same moment.

Each plan draws its own small set of verbs, lifetimes and load times ("swarm testing"): a run that does few kinds of
things does each of them often, and kinds meet that a mixture of everything would keep apart.
"""

import random

from tests.simulation import faults
from tests.simulation.plan import Load, Op, Plan

__all__ = ["draw"]

_READS = {"get": 3, "get_or_set": 12, "get_many": 1, "get_or_set_many": 2, "refresh": 1}
_WRITES = {"delete": 5, "set": 3, "tags": 3, "clear": 1}
_TAGS: tuple[list[str], ...] = ([], ["x"], ["x", "y"], ["y"])


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    instances = list("ABCD"[: rng.choice((1, 2, 2, 3, 3, 4))])
    keys = {f"k{number}": rng.choice(_TAGS) for number in range(rng.choice((1, 1, 2, 3)))}
    until = rng.choice((1.5, 4.0, 8.0))
    # Without CLIENT KILL only the reset of an aborted connection keeps its last bytes from coming late.
    forbidden = ["CLIENT KILL"] if rng.random() < 0.1 else []
    troubles = faults.draw(rng, instances, list(keys), until, may_kill=not forbidden)
    plan = Plan(
        seed,
        instances,
        keys,
        _ops(rng, instances, keys, until, [fault.at for fault in troubles]),
        troubles,
        latency=rng.choice((0.0002, 0.001, 0.003)),
        cut_chance=rng.choice((0.0, 0.1, 0.5)),
        expiry_every=rng.choice((0.1, 0.1, 2.0, 0.0)),
        engine=rng.choice(("valkey", "redis")),
        load_wait=rng.choice((15.0, 15.0, 3.0)),
        near_items=rng.choice((1000, 1000, 1000, 1)),
        maxmemory=rng.choice((*[None] * 8, 600, 900)),
        noperm=forbidden,
    )
    if rng.random() < 0.15:
        _add_seldom(rng, plan, until)
    return plan


def _add_seldom(rng: random.Random, plan: Plan, until: float) -> None:
    """Verbs that are asked for seldom, among the others."""
    for _ in range(rng.choice((2, 6, 12))):
        verb, key = rng.choice(("add", "add", "touch", "incr")), rng.choice(list(plan.keys))
        op = Op(rng.uniform(0.0, until), rng.choice(plan.instances), verb, [key], ttl=rng.choice((0.5, 60.0)))
        plan.ops.append(op)
    plan.ops.sort(key=lambda op: op.at)


class _Taste:
    """What one plan likes."""

    def __init__(self, rng: random.Random, keys: dict[str, list[str]]) -> None:
        self.reads = _some(rng, _READS, 3)
        self.writes = _some(rng, _WRITES, 2)
        self.tags = sorted({tag for tags in keys.values() for tag in tags})
        if not self.tags:
            self.writes = [verb for verb in self.writes if verb != "tags"] or ["delete"]
        self.write_share = rng.choice((0.05, 0.2, 0.4))
        self.ttls = rng.choice(((60.0,), (60.0,), (60.0, 1.0), (0.4,)))
        self.stales = rng.choice(((0.0,), (0.0,), (0.5, 3.0), (30.0,)))
        self.takes = rng.choice(((0.0, 0.02), (0.1,), (0.02, 0.5), (0.3, 2.5)))
        self.fates = rng.choice(
            (("",), ("",), ("", "", "fails"), ("", "", "", "blocks"), ("", "", "", "dies"), ("", "cancels"))
        )
        self.cancels = rng.choice((0.0, 0.0, 0.15))
        self.lax = rng.choice((0.0, 0.2))
        self.pauses = rng.choice((0.0, 0.02))


def _ops(
    rng: random.Random, instances: list[str], keys: dict[str, list[str]], until: float, troubles: list[float]
) -> list[Op]:
    taste = _Taste(rng, keys)
    ops: list[Op] = []
    count = rng.choice((6, 15, 30, 60))
    while len(ops) < count:
        at = rng.uniform(0.0, until)
        if troubles and rng.random() < 0.4:  # much is to be seen just before and just after something breaks
            at = max(0.0, rng.choice(troubles) + rng.uniform(-0.3, 0.7))
        crowd = range(rng.choice((1, 1, 2, 4)))
        spread = rng.choice((0.0, 0.002, 0.05))
        ops += [_op(rng, taste, at + spread * rng.random(), instances, keys) for _ in crowd]
    return sorted(ops, key=lambda op: op.at)


def _op(rng: random.Random, taste: _Taste, at: float, instances: list[str], keys: dict[str, list[str]]) -> Op:
    who = rng.choice(instances)
    names = list(keys)
    if rng.random() < taste.write_share:
        verb = rng.choice(taste.writes)
        chosen = [rng.choice(taste.tags if verb == "tags" else names)]
        pause = taste.pauses * rng.random()
    else:
        verb = rng.choice(taste.reads)
        chosen = [rng.choice(names)]
        if verb.endswith("many"):  # the tags of one call are those of all its keys
            alike = [name for name in names if keys[name] == keys[chosen[0]]]
            chosen = rng.sample(alike, rng.randint(1, len(alike)))
        pause = 0.0
    load = Load(round(rng.choice(taste.takes) * rng.uniform(0.5, 1.5), 4), rng.random() < 0.2, rng.choice(taste.fates))
    cancel = rng.choice((0.0, 0.001, 0.01, 0.1)) * rng.uniform(0.5, 1.5) if rng.random() < taste.cancels else None
    return Op(
        at,
        who,
        verb,
        chosen,
        ttl=rng.choice(taste.ttls),
        stale=rng.choice(taste.stales),
        load=load,
        cancel=cancel,
        pause=pause,
        strict=rng.random() >= taste.lax,
        early=rng.random() < 0.1,
    )


def _some(rng: random.Random, weights: dict[str, int], most: int) -> list[str]:
    """A few verbs, the usual ones more often."""
    return rng.choices(list(weights), list(weights.values()), k=rng.randint(1, most))
