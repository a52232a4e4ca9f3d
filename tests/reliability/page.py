"""Writes the results of the runs into ``docs/reliability.md``: a row for each fault, with bounds instead of figures.

With bounds, two runs differ only in the lines of changed results. The words around the tables are the page's own.
"""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.reliability.catalogue import FAULTS, NONE, Fault
from tests.reliability.play import Outcome
from tests.reliability.verbs import ANSWERS
from tests.support.engines import engines, version

__all__ = ["PAGE", "rows_of", "tables", "written"]

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: one run -->", "<!-- end: one run -->"
AWAY = "refused"  # the fault that the rest are compared with

# Seconds: the promises' own bounds, and a few smaller ones that tell kinds of faults apart.
CALLS = (0.15, 0.3)
KNOWN = (0.005, *CALLS)
BACK = (0.5, 2.0, 12.0, 32.0)

HEAD = (
    "fault",
    "what was done",
    "what callers saw",
    "longest call",
    "calls after it",
    "newcomers",
    "well after",
    "health",
)

Results = Mapping[str, Sequence[Outcome]]


def tables(results: Results, transports: Sequence[str]) -> str:
    """Return both tables, made from the outcomes of each fault."""
    usual, away = answers(results["nothing"]), answers(results[AWAY])
    verbs = [("verb", "answers as usual", "answers as away"), ("---",) * 3]
    verbs += [(f"`{verb}`", " or ".join(usual[verb]), " or ".join(away[verb])) for verb in ANSWERS]
    faults = [HEAD, ("---",) * len(HEAD)]
    faults += [_row(name, fault, results[name], usual, away) for name, fault in FAULTS.items() if name in results]
    calls = sum(outcome.calls for outcomes in results.values() for outcome in outcomes)
    wrong = sum(bool(outcome.broken) for outcomes in results.values() for outcome in outcomes)
    ran = ", ".join(f"{engine} {version(binary)}" for engine, binary in engines().items())
    runs = f"promises broken in {wrong or 'none'} of {sum(map(len, results.values()))} runs"
    lines = [
        f"*{len(results) - 1} faults, {len(ANSWERS)} verbs, {ran}, each by {', '.join(transports)}:",
        f"{calls // 100 * 100:,} calls, {runs}. {_machine()}.*",
        "",
        *map(_line, verbs),
        "",
        *map(_line, faults),
    ]
    return "\n".join(lines)


def _machine() -> str:
    return f"Python {platform.python_version()} on {sys.platform}, {os.cpu_count()} cores"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def answers(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Return each verb's answers over all runs, in a fixed order."""
    return {
        verb: [word for word in ANSWERS[verb] if any(word in o.answers[verb] for o in outcomes)] for verb in ANSWERS
    }


def _row(
    name: str,
    fault: Fault,
    outcomes: Sequence[Outcome],
    usual: Mapping[str, list[str]],
    away: Mapping[str, list[str]],
) -> tuple[str, ...]:
    return (
        name,
        fault.done,
        _saw(fault, outcomes, usual, away),
        _bound(max(o.first for o in outcomes), CALLS),
        "-" if fault.strike else _bound(max(o.later for o in outcomes), KNOWN if fault.silent else CALLS),
        "-" if fault.strike else _bound(max(o.coming for o in outcomes), CALLS),
        _bound(max(o.back for o in outcomes), BACK),
        " or ".join(f"`{reason}`" for reason in fault.reasons) or "-",
    )


def _saw(
    fault: Fault, outcomes: Sequence[Outcome], usual: Mapping[str, list[str]], away: Mapping[str, list[str]]
) -> str:
    """Describe the answers: as usual, as away, or the verbs that differ; and whether they differed before that."""
    seen = answers(outcomes)
    depends = [verb for verb in ANSWERS if away[verb] != usual[verb]]
    differ = [verb for verb in depends if seen[verb] != usual[verb]]
    emptied = "; near is emptied" if "absent" in seen["get, in near"] else ""
    at_first = any("raises Unavailable" in outcome.at_first["incr"] for outcome in outcomes)
    if fault.strike:
        return f"{'as usual, or for a moment as away' if differ else 'as usual'}{emptied}"
    if not differ:
        return f"{'for a moment as away, then ' if at_first else ''}as usual{emptied}"
    if differ == depends:
        return f"as away{emptied}"
    return f"{', '.join(f'`{verb}`' for verb in differ)} as away, the others as usual{emptied}"


def _bound(figure: float, bounds: Sequence[float]) -> str:
    for bound in bounds:
        if figure <= bound:
            return f"≤ {bound * 1000:.0f} ms" if bound < 1 else f"≤ {bound:.0f} s"
    return f"**{figure:.1f} s**"


def written(page: str, generated: str) -> str:
    """Return the page with its tables replaced by these."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"


def rows_of(page: str) -> list[tuple[str, str]]:
    """Return the name and the description of each fault in the page's table."""
    table = page.partition(BEGIN)[2].partition(END)[0].partition(_line(HEAD))[2]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return [(name, done) for name, done, *_ in cells if name != "---"]


def all_faults() -> dict[str, Fault]:
    """Return the faults of the catalogue, and the run without a fault to compare them with."""
    return {"nothing": NONE, **FAULTS}
