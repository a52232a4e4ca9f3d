"""Faults: the effect of each kind on a run, and their random choice.

To add one, write a function here that breaks something and returns its end (or ``None``). Name the real cause in its
docstring, and add it to ``KINDS`` with a weight, which ``draw`` chooses by.
"""

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.plan import Fault

__all__ = ["KINDS", "draw", "strike"]

End = Callable[[], None] | None


def reset(run: Any, fault: Fault) -> End:
    """The connection of one instance is reset, in the middle of its commands and replies."""
    for connection in run.network.of(fault.who):
        connection.cut()
    return None


def hold(run: Any, fault: Fault) -> End:
    """A black hole, or half of one: the bytes of one instance are kept, both ways or one way; neither end is told."""
    run.network.hold(fault.who, up=fault.how != "down", down=fault.how != "up")
    return lambda: run.network.heal(fault.who)


def slow(run: Any, fault: Fault) -> End:
    """The bytes of one instance, or of all, take longer."""
    names = [fault.who] if fault.who else run.plan.instances
    for name in names:
        run.network.slow_down(name, float(fault.how))

    def end() -> None:
        for name in names:
            run.network.slow_down(name, 0.0)

    return end


def late(run: Any, fault: Fault) -> End:
    """The bytes under way on an aborted connection of this instance arrive seconds later."""
    run.network.keep_late(fault.who, on=True)
    return lambda: run.network.keep_late(fault.who, on=False)


def freeze(run: Any, _fault: Fault) -> End:
    """The server stops for a while; its kernel goes on taking bytes."""
    run.host.freeze()

    def end() -> None:
        if run.host.frozen:
            run.host.thaw()
        if any(one.dead for one in run.instances.values()):
            run.holder_lost()  # what it asked for before its death is granted now

    return end


def pause(run: Any, _fault: Fault) -> End:
    """The server stops for less than ``max_staleness``: a slow command, a fork, ``CLIENT PAUSE``. It loses nothing."""
    if run.host.frozen or not run.host.listening:
        return None
    run.host.freeze()

    def end() -> None:
        if run.host.frozen:
            run.host.thaw()

    return end


def crash(run: Any, fault: Fault) -> End:
    """The server dies and comes back: with its data (``same``), none (``empty``), or those of an ``old`` snapshot."""
    what, _, silent = fault.how.partition(" ")
    if not run.host.listening:
        return None
    run.host.crash(silent=bool(silent))
    if what == "old":
        run.holder_lost()  # a right returns that its holder released long ago
    kept = {"same": run.host.server.snapshot(), "old": run.snapshot, "empty": None}[what]

    def end() -> None:
        run.host.restart(kept)
        if what == "old":
            run.holder_lost()
        if what == "old" and kept is not None:
            run.model.forgot.append(run.world.now)

    return end


def snapshot(run: Any, _fault: Fault) -> End:
    """The server saves its data, for ``crash old`` to return with."""
    if run.host.listening:
        run.snapshot = run.host.server.snapshot()
    return None


def state(run: Any, fault: Fault) -> End:
    """The server answers errors: oom, readonly, loading, misconf, busy, masterdown; or it is paused."""
    setattr(run.host.server.state, fault.how, True)
    run.holder_lost()  # the server may refuse to take back a right

    def end() -> None:
        setattr(run.host.server.state, fault.how, False)
        run.holder_lost()
        if fault.how == "paused":
            run.host.go_on()

    return end


def stall(run: Any, fault: Fault) -> End:
    """The loop of one instance has no turn for a while."""
    for instance in run.living(fault.who):
        instance.stall(fault.lasts)
    return None


def suspend(run: Any, fault: Fault) -> End:
    """The host of one instance sleeps: its loop's clock stands still, the clock of the cache goes on."""
    for instance in run.living(fault.who):
        instance.stall(fault.lasts)
        instance.loop.lag += fault.lasts
    return None


def die(run: Any, fault: Fault) -> End:
    """One instance dies, with its machine (``silent``) or without, and may come back as a new one."""
    for instance in run.living(fault.who):
        instance.kill(silent=fault.how == "silent")
    return (lambda: run.birth(fault.who)) if fault.lasts else None


def move(run: Any, fault: Fault) -> End:
    """The event loop of one instance is closed over its open cache, which goes on on a new loop."""
    for instance in run.living(fault.who):
        instance.move()
    return None


def flush(run: Any, _fault: Fault) -> End:
    """Another client empties the server."""
    run.host.server.flush()
    run.host.flush()
    return None


def evict(run: Any, fault: Fault) -> End:
    """The server evicts one key: of a kind (``e`` entry, ``t`` tag, ``c`` claim) if there is one."""
    run.host.evict(fault.how)
    return None


def untrack(run: Any, fault: Fault) -> End:
    """The server's tracking table has no room for one key, of a kind if there is one: a push without a change."""
    run.host.untrack(fault.how)
    return None


def foreign(run: Any, fault: Fault) -> End:
    """Another client writes foreign bytes under one of the cache's keys."""
    key, _, data = fault.how.partition(" ")
    run.host.write(f"fc:e:{key}".encode(), data.encode())
    return None


def step(run: Any, fault: Fault) -> End:
    """The server's clock jumps."""
    run.host.clock_step += float(fault.how)
    run.lifetimes.stepped()
    return None


def scripts(run: Any, _fault: Fault) -> End:
    """``SCRIPT FLUSH``: the server forgets all scripts of the cache."""
    run.host.server.scripts.clear()
    return None


def unrenewed(run: Any, fault: Fault) -> End:
    """One instance renews none of its rights: its timers are late, or the server answers none of its renewals."""
    instances = list(run.living(fault.who))
    for instance in instances:
        instance.engine.shared.renew = lambda *_args, **_more: None

    def end() -> None:
        for instance in instances:
            instance.engine.shared.__dict__.pop("renew", None)

    return end


KINDS: dict[str, tuple[Callable[[Any, Fault], End], int]] = {
    "reset": (reset, 6),
    "hold": (hold, 6),
    "slow": (slow, 5),
    "late": (late, 3),
    "freeze": (freeze, 4),
    "crash": (crash, 6),
    "snapshot": (snapshot, 4),
    "state": (state, 5),
    "stall": (stall, 4),
    "suspend": (suspend, 3),
    "die": (die, 4),
    "flush": (flush, 2),
    "evict": (evict, 6),
    "foreign": (foreign, 2),
    "step": (step, 2),
    "scripts": (scripts, 2),
    "move": (move, 0),  # drawn by ``workload``
    "unrenewed": (unrenewed, 0),  # drawn by ``workload``
    "untrack": (untrack, 0),  # likewise
    "pause": (pause, 0),  # likewise
}
_OF_ONE = frozenset({"reset", "hold", "late", "stall", "suspend", "die"})
_OF_THE_WAY = ("hold", "hold", "slow", "slow", "late", "stall", "suspend", "freeze", "reset")
_STATES = ("oom", "oom", "readonly", "loading", "misconf", "misconf", "busy", "masterdown", "paused")


def strike(run: Any, fault: Fault) -> End:
    """Begin the fault, and return its end."""
    return KINDS[fault.kind][0](run, fault)


def draw(rng: random.Random, instances: list[str], keys: list[str], until: float, *, may_kill: bool) -> list[Fault]:
    """Draw the faults of one run: of a few kinds only, so that a kind meets itself, and calm times.

    ``may_kill``: True if an instance may end its last connection on the server; else late bytes survive on it.
    """
    count = rng.choice((0, 1, 2, 2, 3, 4, 6))
    if count > 1 and rng.random() < 0.3:
        faults = _together(rng, count, instances, keys, until)
    else:
        names = [name for name, (_, weight) in KINDS.items() if weight]
        kinds = rng.choices(names, [KINDS[name][1] for name in names], k=1 + rng.randrange(4))
        faults = [_one(rng, rng.choice(kinds), instances, keys, until) for _ in range(count)]
    if any(fault.kind == "crash" and fault.how.startswith("old") for fault in faults):
        faults.append(Fault(rng.uniform(0.3, until / 2), "snapshot"))
    if not may_kill:
        faults = [fault for fault in faults if fault.kind != "late"]
        # Longer than the silence after which an instance drops a connection.
        faults.append(Fault(rng.uniform(0.1, until), "hold", rng.choice(instances), rng.uniform(6.5, 9.0), "up"))
    for fault in [fault for fault in faults if fault.kind == "late"]:
        # Many bytes are under way, and then an error reply makes the instance drop the connection.
        faults.append(Fault(fault.at, "slow", fault.who, 1.5, "0.6"))
        faults.append(Fault(fault.at + rng.uniform(0.2, 0.6), "state", "", 0.3, "readonly"))
    return sorted(faults, key=lambda fault: fault.at)


def _together(rng: random.Random, count: int, instances: list[str], keys: list[str], until: float) -> list[Fault]:
    """Draw several faults of one connection, one soon after the other."""
    who, at = rng.choice(instances), rng.uniform(0.1, until)
    faults = [_one(rng, rng.choice(_OF_THE_WAY), instances, keys, until) for _ in range(count)]
    for fault in faults:
        fault.at = at + rng.uniform(0.0, 2.0)
        if fault.kind != "freeze":
            fault.who = who
    return faults


def _one(rng: random.Random, kind: str, instances: list[str], keys: list[str], until: float) -> Fault:
    at = rng.uniform(0.1, until)
    who = rng.choice(instances) if kind in _OF_ONE else ""
    lasts = rng.choice((0.05, 0.3, 1.0, 2.5, 4.0, 8.0)) * rng.uniform(0.7, 1.3)
    how = ""
    if kind == "hold":
        how = rng.choice(("both", "up", "down"))
    elif kind == "slow":
        who, how = rng.choice(("", *instances)), rng.choice(("0.05", "0.2", "0.6"))
    elif kind == "crash":
        how = rng.choice(("same", "empty", "old", "old")) + rng.choice(("", "", " silent"))
    elif kind == "state":
        how = rng.choice(_STATES)
    elif kind == "die":
        how, lasts = rng.choice(("", "silent")), rng.choice((0.0, 0.1, 1.0))
    elif kind == "evict":
        how = rng.choice("etc")
    elif kind == "foreign":
        how = f"{rng.choice(keys)} {rng.choice(('x', 'V' + 20 * 'z', 'L' + 16 * 'q', '')) or 'hello'}"
    elif kind == "step":
        how = rng.choice(("-3", "0.5", "3", "12"))
    return Fault(at, kind, who, lasts, how)
