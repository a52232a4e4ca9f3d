"""The plan of a run, as plain data: instances, operations, faults. A plan and its seed are the whole run.

``workload`` and ``faults`` draw plans, ``shrink`` makes them smaller, and plans that found a defect are kept as JSON.
"""

from functools import cache
from typing import Literal

from msgspec import Struct, field, json

from fleetcache.config.settings import Settings

__all__ = ["Fault", "Load", "Op", "Plan", "read", "settings_of", "written"]


class Load(Struct, omit_defaults=True):
    """A loader's behaviour.

    Attributes:
        take: Its time in seconds.
        late: True if it reads the source at its end, not at its begin.
        fate: ``""``, ``fails``, ``declared`` (it raises the declared error), ``blocks`` (its whole process, for
             ``take``), ``dies`` (and its process with it), or ``cancels`` (the awaitable in it was cancelled).
        nostore: True if it asks not to keep its result.
        keep: The times for which its result is fresh, and stale.
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
        verb: The verb of the cache; those that change the source do that first.
        keys: The keys; for ``tags`` the one tag. ``n:k`` is the key ``k`` in the namespace ``n``.
        cancel: Seconds after which the caller is cancelled.
        pause: Seconds between the change of the source and the call.
        load_timeout: Longest time that the caller waits for a load, in seconds.
        offline_ttl: The call's own bound of near's answers offline.
        wait: Seconds that a manual claim waits.
        errors: The time of the declared error in seconds; ``None``: the call declares none.
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
    errors: float | None = None


class Fault(Struct, omit_defaults=True):
    """One fault.

    Attributes:
        at: Seconds after the start.
        kind: See ``faults``.
        who: Name of an instance, or ``""`` for the server or all.
        lasts: Seconds until it is over.
        how: Further details for the kind.
    """

    at: float
    kind: str
    who: str = ""
    lasts: float = 0.0
    how: str = ""


class Plan(Struct, omit_defaults=True):
    """All inputs of a run."""

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
    load_limit: float | None = None
    max_loads: int | None = None
    near_items: int = 1000
    maxmemory: int | None = None
    noperm: list[str] = []


def written(plan: Plan) -> bytes:
    """Return the plan as JSON."""
    return json.format(json.encode(plan), indent=1)


def read(data: bytes) -> Plan:
    """Return the plan from JSON."""
    return json.decode(data, type=Plan)


def settings_of(plan: Plan) -> Settings:
    """Return the settings of each cache in the run."""
    return _settings(
        plan.max_staleness, plan.offline_ttl, plan.load_wait, plan.near_items, plan.load_limit, plan.max_loads
    )


@cache
def _settings(
    max_staleness: float,
    offline_ttl: float,
    load_wait: float,
    near_items: int,
    load_limit: float | None,
    max_loads: int | None,
) -> Settings:
    return Settings.from_url(
        "unix:///simulated",
        prefix="fc",
        max_staleness=max_staleness,
        offline_ttl=offline_ttl,
        load_wait=load_wait,
        near_max_items=near_items,
        load_limit=load_limit,
        max_loads=max_loads,
    )
