"""The scenes, found in their folder, and their results as a table. This module measures nothing."""

import importlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import shown
from benchmarks.scale.scene import Bound, Result, Scene

__all__ = ["as_json", "as_table", "rewrite", "scenes"]

FOLDER = Path(__file__).parent / "scenes"
BEGIN, END = "<!-- begin: make scale -->", "<!-- end: make scale -->"


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


def as_table(results: Sequence[Result], before: str = "") -> str:
    """Return one line for each bound, with one column for each server, and below the table what else was measured.

    Args:
        results: The results.
        before: A table with the same servers: its scenes keep their lines if they were not played now.
    """
    engines = list(dict.fromkeys(result.engine for result in results))
    played: dict[Scene, dict[str, Result]] = {}
    for result in results:
        played.setdefault(result.scene, {})[result.engine] = result
    lines, notes = _parsed(before)
    for scene, by_engine in played.items():
        lines[scene.name] = _lines(scene, by_engine, engines)
        notes[scene.name] = [note for result in by_engine.values() if (note := _note(result))]
    order = list(scenes()) if before else [scene.name for scene in played]
    head = ["| scene | figure | must be | " + " | ".join(engines) + " |  |", "|" + " --- |" * (len(engines) + 4)]
    below = [note for name in order for note in notes.get(name, [])]
    return "\n".join(
        [*head, *(line for name in order for line in lines.get(name, [])), *(["", *below] if below else [])]
    )


def _lines(scene: Scene, by_engine: Mapping[str, Result], engines: Sequence[str]) -> list[str]:
    lines = []
    for number, bound in enumerate(scene.bounds):
        title = "" if number else f"{scene.what} (`{scene.name}`)"
        cells = [_cell(by_engine.get(engine), bound) for engine in engines]
        verdicts = [result.verdict(bound) for result in by_engine.values()]
        worst = next((f"**{word}**" for word in ("FAILED", "MISSED") if word in verdicts), "ok")
        lines.append(f"| {' | '.join([title, bound.figure, str(bound), *cells, worst])} |")
    return lines


def _parsed(table: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the lines and the notes of a table by scene."""
    lines: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    name = ""
    for line in table.splitlines():
        named = re.match(r"\| .*\(`([^`]+)`\) \|", line) or re.match(r"- `([^`]+)`", line)
        name = named[1] if named else name
        if line.startswith("- `"):
            notes.setdefault(name, []).append(line)
        elif name and line.startswith("|"):
            lines.setdefault(name, []).append(line)
    return lines, notes


def rewrite(page: Path, results: Sequence[Result]) -> None:
    """Put the results into the page; scenes that were not played keep theirs."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{as_table(results, old or ' ')}\n\n{END}{after}", encoding="utf-8")


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
