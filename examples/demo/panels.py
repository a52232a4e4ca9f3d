"""The panels of the live screen, drawn from numbers. This module counts and keeps nothing.

Bars and curves are block characters, as wide as there is room.
"""

from collections.abc import Sequence

from rich import box
from rich.align import Align
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .acts import ACTS
from .numbers import InstanceNumbers, Numbers
from .scene import UNLIMITED
from .stage import Finding
from .traffic import digits

__all__ = ["header", "instances", "origin", "promises", "requests", "story", "tiers"]

_NEAR, _SHARED, _LOADED, _OLD = "green", "cyan", "magenta", "yellow"
_STATUS = {"healthy": "green", "degraded": "yellow"}
_LEVELS = "▁▂▃▄▅▆▇█"
_FULL = "█"
_HELD, _BROKEN = Text("✔ ", "green"), Text("✖ ", "bold red")


def header(act: int, seconds: float, numbers: Numbers | None) -> Panel:
    """The acts, the present act's headline, and the clock; red while the server is dead."""
    steps = Text(no_wrap=True, overflow="ellipsis")
    for number, each in enumerate(ACTS):
        mark, style = ("✔", "green") if number < act else ("●", "bold") if number == act else ("○", "dim")
        steps.append(f"{mark} {each.title}   ", style)
    headline = ACTS[act].headline if act >= 0 else "Starting a server, the origin and the instances"
    clock = f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"
    return _panel(
        Group(steps, Text(headline, style="bold", no_wrap=True, overflow="ellipsis")),
        "[bold]fleetcache demo[/]",
        clock,
        style="red" if numbers and not numbers.valkey_alive else "bright_blue",
    )


def requests(numbers: Numbers | None) -> Panel:
    """The client's counts: requests, their outcomes, their times."""
    if numbers is None:
        return _panel("", "requests")
    grid = _grid()
    grid.add_row("sent", _count(numbers.requests))
    grid.add_row("failed", _count(numbers.failed, bad=True))
    grid.add_row("refused", Text(f"{numbers.refused:,}", style="yellow" if numbers.refused else "dim"))
    times = " ".join(digits(seconds) for seconds in (numbers.p50, numbers.p95, numbers.p99))
    grid.add_row("p50 95 99", times)
    return _panel(Group(grid, _sparkline(numbers.slowest, "blue")), "requests", f"{numbers.rate:,.0f}/s, times in ms")


def tiers(numbers: Numbers | None) -> Panel:
    """The tiers that answered the reads of the caches, by the instances' own metrics."""
    if numbers is None:
        return _panel("", "answered from")
    each = numbers.instances
    parts = [
        ("near", sum(one.near for one in each), _NEAR),
        ("shared", sum(one.shared for one in each), _SHARED),
        ("a load", sum(one.loads for one in each), _LOADED),
        ("old", sum(one.stale + one.late for one in each), _OLD),
    ]
    total = sum(count for _, count, _ in parts) or 1
    grid = _grid()
    for name, count, style in parts:
        grid.add_row(Text(name, style=style), f"{count:,} {count / total:7.1%}")
    return _panel(Group(_stacked([(count, style) for _, count, style in parts]), grid), "answered from")


def origin(numbers: Numbers | None, fleet: int) -> Panel:
    """The origin's own count, beside the calls that separate caches would have made for the same answers."""
    if numbers is None:
        return _panel("", "origin calls")
    ours, separate = numbers.calls["total"], numbers.separate
    most = max(ours, separate, 1)
    first, second = _grid(), _grid()
    first.add_row(Text("fleetcache", style="bold green"), _count(ours))
    second.add_row(f"{fleet} separate caches", _count(separate))
    limit, left = numbers.calls["limit"], numbers.calls["left"]
    allowed = (
        Text("no limit now", style="dim")
        if limit == UNLIMITED
        else Text(f"limit {limit}: {left} left", style="bold red" if not left else "yellow")
    )
    return _panel(
        Group(first, _bar(ours / most, "green"), second, _bar(separate / most, "bright_black"), allowed), "origin calls"
    )


def instances(numbers: Numbers | None) -> Panel:
    """Each instance's health and counters, and the state of the server."""
    if numbers is None:
        return _panel(Align.center(Spinner("dots", "starting"), vertical="middle"), "instances")
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for name in ("instance", "health", "in use", "reason"):
        table.add_column(name, no_wrap=True)
    for name in ("entries", "near", "shared", "loads", "owed"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in numbers.instances:
        table.add_row(*_instance(each))
    server = "[green]● up[/]" if numbers.valkey_alive else "[bold red]✖ dead[/]"
    return _panel(table, "instances", f"{numbers.server} {server}")


def story(lines: Sequence[tuple[float, str]]) -> Panel:
    """The newest lines of the story."""
    return _panel(_Newest([(Text(f"{seconds:3.0f} s  ", "dim"), Text(line)) for seconds, line in lines]), "story")


def promises(findings: Sequence[Finding]) -> Panel:
    """The findings so far."""
    entries = [
        (_HELD if each.held else _BROKEN, Text.assemble(each.promised, ("\n" + each.seen, "dim"))) for each in findings
    ]
    held = sum(each.held for each in findings)
    return _panel(_Newest(entries), "promises", f"{held} of {len(findings)} held" if findings else "")


def _instance(each: InstanceNumbers) -> list[RenderableType]:
    style = _STATUS.get(each.status, "bold red")
    return [
        Text.assemble(("● ", style), (each.name, "bold")),
        Text(each.status, style=style),
        each.active,
        Text(each.reason or "", style=style),
        f"{each.items:,}",
        f"{each.near:,}",
        f"{each.shared:,}",
        f"{each.loads:,}",
        Text(f"{each.owed:,}", style="yellow" if each.owed else "dim"),
    ]


def _panel(content: RenderableType, title: str, note: str = "", style: str = "bright_black") -> Panel:
    return Panel(
        content,
        title=title,
        title_align="left",
        subtitle=note or None,
        subtitle_align="right",
        border_style=style,
        box=box.ROUNDED,
    )


def _grid() -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    return grid


def _count(number: int, *, bad: bool = False) -> Text:
    style = "bold" if not bad else "bold red" if number else "bold green"
    return Text(f"{number:,}", style=style)


class _Stacked:
    """Parts of a line side by side, each as long as its share of the line."""

    def __init__(self, parts: Sequence[tuple[float, str]], whole: float) -> None:
        self._parts = parts
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text, end, drawn = Text(no_wrap=True), 0.0, 0
        for amount, style in self._parts:
            end += amount / self._whole * options.max_width
            text.append(_FULL * (round(end) - drawn), style)
            drawn = round(end)
        yield text


def _stacked(parts: Sequence[tuple[float, str]]) -> _Stacked:
    """A full line of several colours.

    Args:
        parts: Amount and style of each.
    """
    return _Stacked(parts, sum(amount for amount, _ in parts) or 1)


def _bar(share: float, style: str) -> _Stacked:
    """A line filled up to a share of its length, 0 to 1."""
    return _Stacked([(share, style)], 1)


class _Sparkline:
    def __init__(self, values: Sequence[float], style: str) -> None:
        self._values = values
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self._values[-options.max_width :]
        highest = max(shown, default=0) or 1
        curve = "".join(_LEVELS[round(value / highest * (len(_LEVELS) - 1))] for value in shown)
        yield Text(curve, style=self._style, no_wrap=True)


def _sparkline(values: Sequence[float], style: str) -> _Sparkline:
    """The last values as a curve, from zero up to the highest."""
    return _Sparkline(values, style)


class _Newest:
    """Entries below one another, the last one at the end; entries that do not fit are cut at the top.

    Args:
        entries: Pairs of a mark and a text. Lines after the first are indented by the width of the mark.
    """

    def __init__(self, entries: Sequence[tuple[Text, Text]]) -> None:
        self._entries = entries

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines: list[Text] = []
        for mark, text in self._entries:
            first, *others = text.wrap(console, options.max_width - mark.cell_len)
            lines.append(Text.assemble(mark, first))
            lines += [Text(" " * mark.cell_len) + each for each in others]
        yield Group(*lines[-(options.height or len(lines)) :])
