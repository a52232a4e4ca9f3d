"""The story as plain lines with their seconds, for a pipe, a log, and a simple terminal."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console

from .acts import ACTS
from .numbers import Numbers
from .stage import Finding

__all__ = ["Lines"]


class Lines:
    """Prints the events.

    Args:
        console: The console to print on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def act(self, number: int) -> None:
        """Print the headline of the act."""
        self.say(f"{number + 1}. {ACTS[number].headline}")

    def say(self, line: str) -> None:
        """Print a line with the seconds since the start."""
        text = f"[{time.monotonic() - self._began:5.1f} s] {line}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def found(self, finding: Finding) -> None:
        """Print a finding."""
        self.say(f"  {'ok' if finding.held else 'FAILED'}: {finding.promised}: {finding.seen}")

    def count(self, numbers: Numbers) -> None:
        """Print nothing: the story has the important numbers."""
