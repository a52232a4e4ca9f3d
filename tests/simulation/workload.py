"""The users' calls, drawn from a seed: few keys, few verbs, and many calls at the same moment.

Each plan draws its own small set of verbs, lifetimes and load times ("swarm testing"): a run with few kinds of calls
makes each of them often, and kinds meet that a mixture of all would keep apart.
"""

import random
from collections.abc import Callable

from tests.simulation import faults
from tests.simulation.plan import Fault, Load, Op, Plan

__all__ = ["draw"]

_READS = {"get": 3, "get_or_set": 12, "get_many": 1, "get_or_set_many": 2, "refresh": 1}
_WRITES = {"delete": 5, "set": 3, "tags": 3, "clear": 1}
_LOADING = frozenset({"get_or_set", "refresh", "get_or_set_many"})
_TAGS: tuple[list[str], ...] = ([], ["x"], ["x", "y"], ["y"])


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
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
    _add_more(random.Random(f"more of {seed}"), plan, until)
    _add_untracks(random.Random(f"untracks of {seed}"), plan, until)
    _add_pauses(random.Random(f"pauses of {seed}"), plan, until)
    _add_ill_source(random.Random(f"ill source of {seed}"), plan, until)
    _add_slow_loads(random.Random(f"slow loads of {seed}"), plan)
    return plan


def _add_ill_source(rng: random.Random, plan: Plan, until: float) -> None:
    """Let a source fail for a while in which all instances ask for its key, or raise errors that belong to results."""
    if rng.random() < 0.8:
        return
    key, began = rng.choice(list(plan.keys)), rng.uniform(0.0, until * 0.7)
    lasts, takes = rng.choice((0.5, 2.0, 6.0)), rng.choice((0.02, 0.1, 0.5))
    declared = rng.random() < 0.3
    errors = rng.choice((0.5, 3.0)) if declared else None
    for op in plan.ops:
        if op.verb in _LOADING and key in op.keys and (declared or began <= op.at <= began + lasts):
            if not declared:
                op.load.fate = "fails"
            elif op.verb == "get_or_set":
                op.load.fate, op.errors, op.stale, op.early = "declared", errors, 0.0, False
    verbs = ("get_or_set",) if declared else ("get_or_set", "get_or_set", "refresh", "get_or_set_many")
    for _ in range(rng.choice((10, 30))):
        load = Load(takes * rng.uniform(0.5, 1.5), fate="declared" if declared else "fails")
        at, who = rng.uniform(began, began + lasts), rng.choice(plan.instances)
        plan.ops.append(Op(at, who, rng.choice(verbs), [key], load=load, errors=errors))
    plan.ops.sort(key=lambda op: op.at)


def _add_slow_loads(rng: random.Random, plan: Plan) -> None:
    """Let loads take longer than callers wait, or than they may, in some plans; or let few run at once."""
    if rng.random() < 0.8:
        return
    plan.load_wait = rng.choice((0.6, 1.5, 3.0))
    plan.load_limit = rng.choice((None, None, 0.4, 2.0))
    plan.max_loads = rng.choice((None, 1, 2))
    for op in plan.ops:
        if rng.random() < 0.3:
            op.load.take = rng.choice((1.2, 1.5, 2.5, 6.0)) * plan.load_wait * rng.uniform(0.8, 1.2)
    for _ in range(rng.choice((0, 0, 1))):
        plan.faults.append(
            Fault(rng.uniform(0.0, 2.0), "unrenewed", rng.choice(plan.instances), rng.choice((2.0, 12.0)))
        )
    plan.faults.sort(key=lambda fault: fault.at)


def _add_pauses(rng: random.Random, plan: Plan, until: float) -> None:
    """Let the server pause for about one to two operation timeouts, in some plans; users call soon after it began."""
    if rng.random() < 0.7:
        return
    for _ in range(rng.choice((1, 2, 4))):
        at = rng.uniform(0.0, until)
        plan.faults.append(Fault(at, "pause", lasts=rng.choice((0.3, 0.4, 0.45, 0.6, 1.5)) * rng.uniform(0.9, 1.1)))
        asks = [op for op in plan.ops if op.verb in {"get_or_set", "get_or_set_many", "refresh"}]
        for op in rng.sample(asks, min(len(asks), 3)):
            op.at = at + rng.uniform(0.0, 0.6)
    plan.ops.sort(key=lambda op: op.at)
    plan.faults.sort(key=lambda fault: fault.at)


def _add_untracks(rng: random.Random, plan: Plan, until: float) -> None:
    """Let the server push keys that have not changed: in some plans, mostly tags, often close to other faults."""
    if rng.random() < 0.6:
        return
    troubles = [fault.at for fault in plan.faults]
    writes = [op.at for op in plan.ops if op.verb in {"tags", "clear", "clear_space", "delete"}]
    for _ in range(rng.choice((1, 3, 8))):
        at = rng.uniform(0.0, until)
        near = rng.choice((troubles, writes))
        if near and rng.random() < 0.6:
            at = max(0.0, rng.choice(near) + rng.uniform(-0.3, 0.3))
        plan.faults.append(Fault(at, "untrack", how=rng.choice("ttte")))
    plan.faults.sort(key=lambda fault: fault.at)


def _add_more(rng: random.Random, plan: Plan, until: float) -> None:
    """Add rare kinds of calls: a few kinds for each plan, so that each meets itself and plain calls."""
    if rng.random() < 0.4:
        return
    wishes = rng.sample(list(_MORE), rng.choice((1, 1, 2, 3)))
    for wish in sorted(wishes):
        _MORE[wish](rng, plan, until)
    plan.ops.sort(key=lambda op: op.at)
    plan.faults.sort(key=lambda fault: fault.at)


def _namespace(rng: random.Random, plan: Plan, until: float) -> None:
    """Put some keys in a namespace, too, which has its own ``clear()``."""
    plan.keys |= {f"n:{name}": tags for name, tags in plan.keys.items()}
    for op in plan.ops:
        if op.verb not in {"tags", "clear", "incr"} and rng.random() < 0.5:
            op.keys = [f"n:{name}" for name in op.keys]
    for _ in range(rng.choice((0, 1, 3))):
        name = rng.choice([name for name in plan.keys if name.startswith("n:")])
        plan.ops.append(Op(rng.uniform(0.0, until), rng.choice(plan.instances), "clear_space", [name]))


def _offline_ttl(rng: random.Random, plan: Plan, _until: float) -> None:
    for op in plan.ops:
        if rng.random() < 0.6:
            op.offline_ttl = rng.choice((0.0, 1.0, 20.0))


def _load_timeout(rng: random.Random, plan: Plan, _until: float) -> None:
    for op in plan.ops:
        if rng.random() < 0.5:
            op.load_timeout = rng.choice((0.01, 0.1, 1.0))


def _results_decide(rng: random.Random, plan: Plan, _until: float) -> None:
    for op in plan.ops:
        kind = rng.random()
        op.load.nostore = kind < 0.3
        op.load.keep = (rng.choice((0.3, 2.0, 60.0)), rng.choice((0.0, 1.0))) if kind > 0.6 else None


def _claims(rng: random.Random, plan: Plan, until: float) -> None:
    """Let some calls work on keys with manual claims."""
    for _ in range(rng.choice((2, 6, 12))):
        load = Load(rng.choice((0.01, 0.3, 4.0)) * rng.uniform(0.5, 1.5))
        at, who, key = rng.uniform(0.0, until), rng.choice(plan.instances), rng.choice(list(plan.keys))
        op = Op(at, who, "claim", [key], ttl=rng.choice((1.0, 3.0)), load=load, wait=rng.choice((0.0, 0.5, 15.0)))
        op.cancel = rng.choice((0.001, 0.1, 1.0)) if rng.random() < 0.2 else None
        plan.ops.append(op)


def _touches(rng: random.Random, plan: Plan, until: float) -> None:
    """Give entries with stale times new lives."""
    for _ in range(rng.choice((3, 10))):
        at, who, key = rng.uniform(0.0, until), rng.choice(plan.instances), rng.choice(list(plan.keys))
        plan.ops.append(Op(at, who, "touch", [key], ttl=rng.choice((0.5, 2.0, 60.0))))
    for op in plan.ops:
        if op.verb != "touch" and rng.random() < 0.5:
            op.stale = rng.choice((1.0, 20.0))


def _untracked(_rng: random.Random, plan: Plan, _until: float) -> None:
    """Let the server push nothing."""
    plan.noperm.append("CLIENT TRACKING")


def _unknown_run(_rng: random.Random, plan: Plan, _until: float) -> None:
    """Let the server hide its run id."""
    plan.noperm.append("INFO")


def _other_loops(rng: random.Random, plan: Plan, until: float) -> None:
    """Close an event loop over an open cache, which goes on on a new loop."""
    for _ in range(rng.choice((1, 2))):
        plan.faults.append(Fault(rng.uniform(0.3, until), "move", rng.choice(plan.instances)))


_MORE: dict[str, Callable[[random.Random, Plan, float], None]] = {
    "claims": _claims,
    "load_timeout": _load_timeout,
    "namespace": _namespace,
    "offline_ttl": _offline_ttl,
    "other_loops": _other_loops,
    "results_decide": _results_decide,
    "touches": _touches,
    "unknown_run": _unknown_run,
    "untracked": _untracked,
}


def _add_seldom(rng: random.Random, plan: Plan, until: float) -> None:
    """Add rarely used verbs."""
    for _ in range(rng.choice((2, 6, 12))):
        verb, key = rng.choice(("add", "add", "touch", "incr")), rng.choice(list(plan.keys))
        op = Op(rng.uniform(0.0, until), rng.choice(plan.instances), verb, [key], ttl=rng.choice((0.5, 60.0)))
        plan.ops.append(op)
    plan.ops.sort(key=lambda op: op.at)


class _Taste:
    """The choices of one plan."""

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
        if troubles and rng.random() < 0.4:  # many things can go wrong just before and just after a fault
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
    """Draw a few verbs, the usual ones more often."""
    return rng.choices(list(weights), list(weights.values()), k=rng.randint(1, most))
