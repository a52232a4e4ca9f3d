"""Makes a failing plan smaller: fewer instances, calls and faults, as long as the same promise is broken.

It leaves parts out in halves, quarters and so on, until no single part can go. The seed stays, so that all random
choices are the same as before.
"""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from tests.simulation.plan import Plan
from tests.simulation.run import play

__all__ = ["shrink"]

# The most plays; a person waits for the smaller plan.
MOST_PLAYS = 400


def shrink(plan: Plan, rule: str, *, most: int = MOST_PLAYS) -> Plan:
    """Return the smallest plan found that breaks the same promise."""
    left = [most]

    def breaks(smaller: Plan) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        violation = play(smaller).violation
        return violation is not None and violation.rule == rule

    while True:
        before = (len(plan.instances), len(plan.ops), len(plan.faults))
        plan = _fewer_instances(plan, breaks)
        plan = _fewer(plan, "faults", breaks)
        plan = _fewer(plan, "ops", breaks)
        plan = _simpler(plan, breaks)
        if (len(plan.instances), len(plan.ops), len(plan.faults)) == before:
            return plan


def _fewer_instances(plan: Plan, breaks: Callable[[Plan], bool]) -> Plan:
    for name in plan.instances:
        smaller = structs.replace(
            plan,
            instances=[other for other in plan.instances if other != name],
            ops=[op for op in plan.ops if op.who != name],
            faults=[fault for fault in plan.faults if fault.who != name],
        )
        if smaller.instances and breaks(smaller):
            plan = smaller
    return plan


def _fewer(plan: Plan, what: str, breaks: Callable[[Plan], bool]) -> Plan:
    items: list[Any] = getattr(plan, what)
    size = max(1, len(items) // 2)
    while items:
        at = 0
        while at < len(items):
            fewer = items[:at] + items[at + size :]
            smaller = structs.replace(plan, **{what: fewer})
            if breaks(smaller):
                plan, items = smaller, fewer
            else:
                at += size
        if size == 1:
            break
        size //= 2
    return plan


def _simpler(plan: Plan, breaks: Callable[[Plan], bool]) -> Plan:
    """Return the plan without the usual settings that do not matter for it."""
    for field, value in (("cut_chance", 0.0), ("expiry_every", 0.1), ("near_items", 1000), ("maxmemory", None)):
        if getattr(plan, field) != value:
            simpler = structs.replace(plan, **{field: value})
            if breaks(simpler):
                plan = simpler
    return plan
