"""The tables at the end of the demo, as plain text."""

import shutil
import textwrap
from collections.abc import Sequence

from examples.geo.stage import Finding
from examples.geo.traffic import Answer, percentile

_WIDEST = 140  # characters; longer lines are hard to follow
_NARROWEST = 80
_VERDICT = len("FAILED")
_GAPS = 4  # two spaces between the three columns


def findings_table(findings: Sequence[Finding]) -> str:
    """Lay out what was promised, what was seen, and whether it held."""
    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)) - _VERDICT - _GAPS
    left = width * 2 // 5
    right = width - left
    lines = [_row("promised", "seen", "held", left, right), "-" * (width + _VERDICT + _GAPS)]
    lines += [_row(each.promised, each.seen, "ok" if each.held else "FAILED", left, right) for each in findings]
    return "\n".join(lines)


def times_table(timed: dict[str, list[Answer]]) -> str:
    """Lay out how long requests took, as the client saw it."""
    label = max(map(len, timed), default=0)
    lines = [f"{'requests, in ms':{label}}  {'count':>7}  {'p50':>7}  {'p95':>7}  {'p99':>7}  {'max':>7}"]
    lines.append("-" * len(lines[0]))
    for name, answers in timed.items():
        seconds = [answer.seconds for answer in answers]
        cells = "  ".join(f"{percentile(seconds, percent) * 1000:7.1f}" for percent in (50, 95, 99, 100))
        lines.append(f"{name:{label}}  {len(seconds):7,}  {cells}")
    return "\n".join(lines)


def _row(promised: str, seen: str, held: str, left: int, right: int) -> str:
    first, second = textwrap.wrap(promised, left), textwrap.wrap(seen, right)
    height = max(len(first), len(second))
    cells = zip(_padded(first, height), _padded(second, height), _padded([held], height), strict=True)
    return "\n".join(f"{one:{left}}  {two:{right}}  {three}".rstrip() for one, two, three in cells)


def _padded(lines: list[str], height: int) -> list[str]:
    return lines + [""] * (height - len(lines))
