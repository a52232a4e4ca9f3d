"""What is printed when the story is over: times, promises, the verdict, and the lines to paste."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .paste import LINES
from .result import PERCENTILES, Result

__all__ = ["print_ending"]

_PROMISED = 52  # columns: no promise is longer, so what was seen is what wraps


def print_ending(console: Console, result: Result) -> None:
    """Print everything that stays on the screen."""
    parts: list[RenderableType] = ["", _times(result), _promises(result), _verdict(result), ""]
    parts += [Text(f"last words of {name}:\n{words}\n") for name, words in result.last_words.items()]
    if result.held:
        parts += [
            Text("Into your own app:", style="bold"),
            Text("pip install 'fleetcache[ops]'\n", style="dim"),
            _lines(console),
        ]
    console.print(Group(*parts))


def _times(result: Result) -> RenderableType:
    table = Table(
        box=box.SIMPLE_HEAD, title="Requests, in milliseconds", title_justify="left", title_style="bold", pad_edge=False
    )
    table.add_column("while")
    for name in ("count", *PERCENTILES):
        table.add_column(name, justify="right")
    for name, times in result.latencies().items():
        table.add_row(name, f"{len(result.timed[name]):,}", *(f"{each:.1f}" for each in times.values()))
    return table


def _promises(result: Result) -> RenderableType:
    table = Table(
        box=box.SIMPLE_HEAD, title="Promised and seen", title_justify="left", title_style="bold", pad_edge=False
    )
    table.add_column("promised", min_width=_PROMISED)
    table.add_column("seen")
    table.add_column("held")
    for each in result.findings:
        verdict = Text("ok", style="green") if each.held else Text("FAILED", style="bold red")
        table.add_row(Text(each.promised), Text(each.seen), verdict)
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
    """Without frame and numbers, so that they can be copied as they stand."""
    return (
        Syntax(LINES, "python", theme="ansi_dark", background_color="default") if console.is_terminal else Text(LINES)
    )
