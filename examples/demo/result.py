"""The results of a run of the demo: as JSON, and printed with the verdict and the lines to paste."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .numbers import Numbers
from .stage import Finding
from .traffic import Answer, percentile

__all__ = ["LINES", "PERCENTILES", "Result", "print_ending"]

_FAILED = "FAILED"
_WIDEST = 130  # columns; longer lines are hard to follow
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}

# A test runs them.
LINES = """\
from fleetcache import Cache
from fleetcache.ops import OpsApp

cache = Cache.from_env()  # REDIS_URL=redis://...; without it, this process's memory


@cache.cached(ttl="10m", stale="1h", key="geo:{ip}")
async def locate(ip: str) -> dict[str, str]:
    return await ask_your_origin(ip)  # once in the whole fleet


# await locate.invalidate(ip) when it changed: every instance forgets it
app.mount("/ops", OpsApp(cache))  # /ops/healthz /ops/readyz /ops/livez /ops/metrics
"""


@dataclass(frozen=True)
class Result:
    """All measurements.

    Attributes:
        seconds: The length of the whole run.
        seed: The seed of the addresses.
        trace: The file that the addresses came from instead.
        findings: The promises, and the observations.
        timed: Answers by the meaning of their times.
        changes: Seconds until the other instances answered, for each change of a setting.
        numbers: The last numbers.
        last_words: The end of each process's log, if a promise was not held.
    """

    seconds: float
    seed: int
    trace: Path | None
    findings: Sequence[Finding]
    timed: Mapping[str, Sequence[Answer]]
    changes: Sequence[float]
    numbers: Numbers
    last_words: Mapping[str, str]

    @property
    def held(self) -> bool:
        """True if every promise held."""
        return all(finding.held for finding in self.findings)

    def latencies(self) -> dict[str, dict[str, float]]:
        """Return milliseconds by the meaning of the times, and by percentile."""
        return {
            name: {
                label: percentile([answer.seconds for answer in answers], percent) * 1000
                for label, percent in PERCENTILES.items()
            }
            for name, answers in self.timed.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return all results, for JSON. Times are in milliseconds, unless their name has another unit."""
        numbers = self.numbers
        return {
            "fleetcache": version("fleetcache"),
            "server": numbers.server,
            "seconds": round(self.seconds, 1),
            "addresses": {"trace": str(self.trace)} if self.trace else {"seed": self.seed},
            "held": self.held,
            "promises": [asdict(finding) for finding in self.findings],
            "requests": {"total": numbers.requests, "refused": numbers.refused, "failed": numbers.failed},
            "origin_calls": {"fleetcache": numbers.calls["total"], "separate_caches": numbers.separate},
            "latency_ms": self.latencies(),
            "change_seen_ms": [seconds * 1000 for seconds in self.changes],
            "instances": [asdict(instance) for instance in numbers.instances],
        }


def print_ending(console: Console, result: Result) -> None:
    """Print all that stays on the screen."""
    parts: list[RenderableType] = ["", _times(result), _promises(result, console.width), _verdict(result), ""]
    parts += [Text(f"last words of {name}:\n{words}\n") for name, words in result.last_words.items()]
    if result.held:
        parts += [
            Text("Into your own app:", style="bold"),
            Text("pip install 'fleetcache[ops]'\n", style="dim"),
            _lines(console),
        ]
    console.print(Group(*parts))


def _times(result: Result) -> RenderableType:
    table = _table("Requests, in milliseconds")
    table.add_column("while")
    for name in ("count", *PERCENTILES):
        table.add_column(name, justify="right")
    for name, times in result.latencies().items():
        table.add_row(name, f"{len(result.timed[name]):,}", *(f"{each:,.1f}" for each in times.values()))
    return table


def _table(title: str, width: int | None = None) -> Table:
    return Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False, width=width
    )


def _promises(result: Result, width: int) -> RenderableType:
    table = _table("Promised and seen", width=min(width, _WIDEST))
    table.add_column("", no_wrap=True, width=len(_FAILED))
    table.add_column("promised", ratio=1)
    table.add_column("seen", ratio=1)
    for each in result.findings:
        verdict = Text("ok", style="green") if each.held else Text(_FAILED, style="bold red")
        table.add_row(verdict, Text(each.promised), Text(each.seen))
    return table


def _verdict(result: Result) -> RenderableType:
    failed = sum(not finding.held for finding in result.findings)
    numbers = result.numbers
    seen = (
        f"{numbers.requests:,} requests, {numbers.calls['total']:,} origin calls; {len(numbers.instances)} separate "
        f"in-memory caches: {numbers.separate:,} ({numbers.server}, {result.seconds:.0f} s)"
    )
    total = len(result.findings)
    verdict = (
        Text(f"{failed} of {total} promises FAILED", style="bold red")
        if failed
        else Text(f"all {total} promises held", style="bold green")
    )
    return Group(verdict, Text(seen, style="dim"))


def _lines(console: Console) -> RenderableType:
    """Return the lines without frame and numbers, so that they can be copied unchanged."""
    return (
        Syntax(LINES, "python", theme="ansi_dark", background_color="default") if console.is_terminal else Text(LINES)
    )
