"""A list of which the newest entries are shown, as many as there is room for."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

__all__ = ["Newest"]


class Newest:
    """Entries below one another, the last one at the end; what does not fit is cut at the top.

    Args:
        entries: A mark and a text each. Lines after the first are indented by the width of the mark.
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
