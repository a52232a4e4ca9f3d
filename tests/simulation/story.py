"""Tells the story of a run: the events, each with its instance and its time, in the words of the design."""

from typing import Any

__all__ = ["told"]


def told(run: Any) -> str:
    """Return the story of a run, one line for each event, and the broken promise."""
    plan = run.plan
    counts = f"{len(plan.instances)} instances, {len(plan.ops)} calls, {len(plan.faults)} faults"
    lines = [f"seed {plan.seed}: {counts}"]
    lines += [_line(run, at, who or "*", text) for at, who, text in run.story]
    if run.violation is not None:
        lines.append(_line(run, run.world.now, "!", str(run.violation)))
    return "\n".join(lines)


def _line(run: Any, at: float, who: str, text: str) -> str:
    return f"{at - run.start:9.4f}  {who:2}  {text}"
