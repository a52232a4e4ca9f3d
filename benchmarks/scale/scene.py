"""A scene of `make scale`: one bad day of a large fleet, the figures that it measures, and their bounds.

How to add a scene:

1. Write a file in ``benchmarks/scale/scenes``, or add to one whose subject fits. Nothing else lists the scenes.
2. Write a plain function that takes a ``Lab`` and returns the figures by name. A scene of tasks calls ``asyncio.run``.
3. Put the scene into the file's ``SCENES``, with one ``Bound`` for each figure that must hold.

    def restart(lab: Lab) -> Mapping[str, float]:
        server = lab.server()
        with lab.spent(server) as spent:
            ...
        return {"connections each": spent.connections / 1000, "server CPU": spent.cpu}

    SCENES = (Scene("restart", "1,000 instances, their server restarts", (Bound("connections each", 1.3),), restart),)

Each scene runs in a process of its own, once for each server. It ends within ``patience`` seconds, and its server and
its workers end with it. A figure without a bound is printed below the table. Counts and CPU are better bounds than wall
times, because other work on the machine does not move them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.scale.lab import Lab

__all__ = ["Bound", "Result", "Scene"]


@dataclass(frozen=True)
class Bound:
    """A figure of a scene, and its bound.

    Attributes:
        figure: The name of the figure, unique in its scene.
        limit: The bound, in the figure's unit.
        unit: The unit; empty for counts and ratios.
        at_least: True if the bound is a lower one.
    """

    figure: str
    limit: float
    unit: str = ""
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Return True if the value is within the bound. A value that is no number is not."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}".strip()


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        name: The name for ``--only``.
        what: What happens, in words.
        bounds: The figures that must hold.
        measure: Plays the scene and returns its figures; those of ``bounds`` must be among them.
        patience: Seconds after which the scene counts as failed.
    """

    name: str
    what: str
    bounds: tuple[Bound, ...]
    measure: "Callable[[Lab], Mapping[str, float]]"
    patience: float = 180.0


@dataclass(frozen=True)
class Result:
    """The figures of one scene on one server, or the error that kept the scene from having any."""

    scene: Scene
    engine: str
    figures: Mapping[str, float]
    error: str = ""

    def verdict(self, bound: Bound) -> str:
        """Return ``ok``, ``MISSED`` or ``FAILED``: the scene ended early, or did not measure this figure."""
        if bound.figure not in self.figures:
            return "FAILED"
        return "ok" if bound.holds(self.figures[bound.figure]) else "MISSED"

    @property
    def holds(self) -> bool:
        """True if each bound holds."""
        return all(self.verdict(bound) == "ok" for bound in self.scene.bounds)
