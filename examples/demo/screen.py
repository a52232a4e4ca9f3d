"""The live screen: the layout of the panels, and their contents."""

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.layout import Layout
from rich.live import Live

from . import panels
from .numbers import Numbers
from .plan import Plan
from .stage import Finding

__all__ = ["Screen"]

_FRAMES = 8  # a second: smooth enough, and a few per cent of one core
_NARROWEST = 80  # columns
_HEADER, _FIGURES = 4, 7  # lines
_AROUND_INSTANCES = 3  # lines of frame and headings
_SHORTEST_STORY = 6  # lines with the frame
_STORY_KEPT = 50  # lines: no terminal shows more


class Screen:
    """Shows all numbers at once, several times a second, on the terminal's alternate screen.

    Args:
        console: The console of the terminal.
        plan: The settings of the run.
    """

    def __init__(self, console: Console, plan: Plan) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._act = -1
        self._story: deque[tuple[float, str]] = deque(maxlen=_STORY_KEPT)
        self._findings: list[Finding] = []
        self._numbers: Numbers | None = None
        self._layout = _layout(plan)
        self._live = Live(
            console=console, screen=True, refresh_per_second=_FRAMES, get_renderable=self.draw, transient=True
        )

    @staticmethod
    def fits(console: Console, plan: Plan) -> bool:
        """Return True if the console is a terminal that can show the screen, and large enough."""
        able = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
        lines = _HEADER + _FIGURES + plan.instances + _AROUND_INSTANCES + _SHORTEST_STORY
        return able and console.width >= _NARROWEST and console.height >= lines

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def act(self, number: int) -> None:
        """Move on in the header."""
        self._act = number

    def say(self, line: str) -> None:
        """Add a line to the story."""
        self._story.append((time.monotonic() - self._began, line))

    def found(self, finding: Finding) -> None:
        """Add a promise."""
        self._findings.append(finding)

    def count(self, numbers: Numbers) -> None:
        """Show these numbers from now on."""
        self._numbers = numbers

    def draw(self) -> RenderableType:
        """Draw the newest numbers. Runs in the thread of ``Live``."""
        panel, numbers = self._layout, self._numbers
        panel["header"].update(panels.header(self._act, time.monotonic() - self._began, numbers))
        panel["requests"].update(panels.requests(numbers))
        panel["tiers"].update(panels.tiers(numbers))
        panel["origin"].update(panels.origin(numbers, self._plan.instances))
        panel["instances"].update(panels.instances(numbers))
        panel["story"].update(panels.story(list(self._story)))
        panel["promises"].update(panels.promises(list(self._findings)))
        return self._layout


def _layout(plan: Plan) -> Layout:
    layout = Layout()
    layout.split_column(
        Layout(name="header", size=_HEADER),
        Layout(name="figures", size=_FIGURES),
        Layout(name="instances", size=plan.instances + _AROUND_INSTANCES),
        Layout(name="words"),
    )
    layout["figures"].split_row(*(Layout(name=name) for name in ("requests", "tiers", "origin")))
    layout["words"].split_row(Layout(name="story"), Layout(name="promises"))
    return layout
