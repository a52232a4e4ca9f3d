"""The scenes, found in their folder, and their results as a table. This module measures nothing."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import shown
from benchmarks.scale.scene import Bound, Result, Scene

__all__ = ["as_json", "as_table", "scenes"]

FOLDER = Path(__file__).parent / "scenes"


def scenes() -> dict[str, Scene]:
    """Return all scenes by name, in the order of their files.

    Raises:
        ValueError: Two scenes have the same name, or a scene has no bound.
    """
    found: dict[str, Scene] = {}
    for path in sorted(FOLDER.glob("*.py")):
        for scene in importlib.import_module(f"benchmarks.scale.scenes.{path.stem}").SCENES:
            if scene.name in found or not scene.bounds:
                raise ValueError(f"{path.name}: the name of {scene.name!r} is taken, or the scene has no bound")
            found[scene.name] = scene
    return found


def as_table(results: Sequence[Result]) -> str:
    """Return one line for each bound, with one column for each server, and below the table what else was measured."""
    engines = list(dict.fromkeys(result.engine for result in results))
    played: dict[Scene, dict[str, Result]] = {}
    for result in results:
        played.setdefault(result.scene, {})[result.engine] = result
    lines = [["scene", "figure", "must be", *engines, ""]]
    lines.append(["---"] * len(lines[0]))
    for scene, by_engine in played.items():
        for number, bound in enumerate(scene.bounds):
            title = "" if number else f"{scene.what} (`{scene.name}`)"
            cells = [_cell(by_engine.get(engine), bound) for engine in engines]
            verdicts = [result.verdict(bound) for result in by_engine.values()]
            worst = next((f"**{word}**" for word in ("FAILED", "MISSED") if word in verdicts), "ok")
            lines.append([title, bound.figure, str(bound), *cells, worst])
    notes = [note for result in results if (note := _note(result))]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *(["", *notes] if notes else [])])


def _cell(result: Result | None, bound: Bound) -> str:
    if result is None or bound.figure not in result.figures:
        return "-"
    return shown(result.figures[bound.figure], bound.unit)


def _note(result: Result) -> str:
    """Return the error of a scene, or its figures without a bound."""
    name = f"- `{result.scene.name}`, {result.engine}"
    if result.error:
        return f"{name}, failed: {result.error}"
    bounded = {bound.figure for bound in result.scene.bounds}
    more = [f"{figure} {shown(value)}" for figure, value in result.figures.items() if figure not in bounded]
    return f"{name}: {', '.join(more)}" if more else ""


def as_json(results: Sequence[Result]) -> str:
    """Return all results, for machines."""
    return json.dumps([_told(result) for result in results], indent=2)


def _told(result: Result) -> dict[str, Any]:
    bounds = {bound.figure: [str(bound), result.verdict(bound)] for bound in result.scene.bounds}
    told = {"scene": result.scene.name, "server": result.engine, "figures": dict(result.figures), "bounds": bounds}
    return told | ({"error": result.error} if result.error else {})
