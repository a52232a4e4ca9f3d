"""What is printed when the story is over: times, promises, the verdict, and the lines to paste."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .paste import LINES
from .result import PERCENTILES, Result

__all__ = ["print_ending"]

_FAILED = "FAILED"
_WIDEST = 130  # columns; longer lines are hard to follow


def print_ending(console: Console, result: Result) -> None:
    """Print everything that stays on the screen."""
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
    """Without frame and numbers, so that they can be copied as they stand."""
    return (
        Syntax(LINES, "python", theme="ansi_dark", background_color="default") if console.is_terminal else Text(LINES)
    )
