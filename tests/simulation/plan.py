"""What a run does, as plain data: instances, operations, faults. A plan and its seed are the whole run.

Plans are drawn by ``workload`` and ``faults``, made smaller by ``shrink``, and kept as JSON for what was found once.
"""

from typing import Literal

from msgspec import Struct, field, json

__all__ = ["Fault", "Load", "Op", "Plan", "read", "written"]


class Load(Struct, omit_defaults=True):
    """What a loader does.

    Attributes:
        take: Seconds it takes.
        late: It looks at the source when it ends, not when it begins.
        fate: ``""``, ``fails``, ``blocks`` (its whole process, for ``take``), ``dies`` (and its process with it), or
            ``cancels`` (what it waits for was cancelled).
        nostore: It says that its result is not to be kept.
        keep: It says for how long its result is fresh, and stale.
    """

    take: float = 0.05
    late: bool = False
    fate: str = ""
    nostore: bool = False
    keep: tuple[float, float] | None = None


class Op(Struct, omit_defaults=True):
    """One call of a user.

    Attributes:
        at: Seconds after the start.
        who: Name of the instance.
        verb: Of the cache; those that change the source do that first.
        keys: What it is about; for ``tags`` the one tag. ``n:k`` is the key ``k`` in the namespace ``n``.
        cancel: The caller gives up after so many seconds.
        pause: Seconds between the change of the source and the call.
        load_timeout: Seconds the caller waits for a load at most.
        offline_ttl: Its own bound of what near answers offline.
        wait: Seconds it waits for a claim by hand.
    """

    at: float
    who: str
    verb: str
    keys: list[str]
    ttl: float = 60.0
    stale: float = 0.0
    load: Load = field(default_factory=Load)
    cancel: float | None = None
    pause: float = 0.0
    strict: bool = True
    early: bool = False
    load_timeout: float | None = None
    offline_ttl: float | None = None
    wait: float = 0.0


class Fault(Struct, omit_defaults=True):
    """One fault.

    Attributes:
        at: Seconds after the start.
        kind: See ``faults``.
        who: Name of an instance, or ``""`` for the server or all.
        lasts: Seconds until it is over.
        how: What the kind needs to know more.
    """

    at: float
    kind: str
    who: str = ""
    lasts: float = 0.0
    how: str = ""


class Plan(Struct, omit_defaults=True):
    """Everything a run depends on."""

    seed: int
    instances: list[str]
    keys: dict[str, list[str]]
    ops: list[Op]
    faults: list[Fault]
    latency: float = 0.001
    cut_chance: float = 0.1
    expiry_every: float = 0.1
    engine: Literal["valkey", "redis"] = "valkey"
    max_staleness: float = 2.0
    offline_ttl: float = 5.0
    load_wait: float = 15.0
    near_items: int = 1000
    maxmemory: int | None = None
    noperm: list[str] = []


def written(plan: Plan) -> bytes:
    """The plan as JSON."""
    return json.format(json.encode(plan), indent=1)


def read(data: bytes) -> Plan:
    """The plan back from JSON."""
    return json.decode(data, type=Plan)
