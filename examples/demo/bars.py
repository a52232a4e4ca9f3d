"""Bars and curves of block characters, as wide as there is room."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

__all__ = ["bar", "sparkline", "stacked"]

_LEVELS = "▁▂▃▄▅▆▇█"
_FULL = "█"


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


def stacked(parts: Sequence[tuple[float, str]]) -> _Stacked:
    """A full line of several colours.

    Args:
        parts: Amount and style of each.
    """
    return _Stacked(parts, sum(amount for amount, _ in parts) or 1)


def bar(share: float, style: str) -> _Stacked:
    """A line that is filled up to a share of it, 0 to 1."""
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


def sparkline(values: Sequence[float], style: str) -> _Sparkline:
    """The last values as a curve, from zero up to the highest."""
    return _Sparkline(values, style)
