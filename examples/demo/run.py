"""One run of the demo from start to exit status: the right form for the terminal, and an end that leaves nothing."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from fleetcache.shared.embedded.errors import EmbeddedError

from .ending import print_ending
from .lines import Lines
from .needs import SceneError
from .performance import perform
from .plan import Plan
from .screen import Screen
from .show import Show

__all__ = ["run", "show_for"]

_PIPED_WIDTH = 120  # columns of the tables where no terminal says how wide it is
_INTERRUPTED = 128 + signal.SIGINT  # as shells report it
_SWITCH = 0.001  # seconds: the screen is drawn by a thread, which should not hold up the client that measures times


def run(plan: Plan, *, as_json: bool = False) -> int:
    """Play the story, print what was seen, and return the exit status.

    Args:
        plan: What was asked for.
        as_json: Print JSON to stdout; the story goes to stderr.

    Raises:
        SceneError: The scene cannot be set up; says why.
    """
    console = _console(stderr=as_json)
    try:
        with _end_politely_on_sigterm(), _smooth(), show_for(console, plan) as show:
            result = perform(plan, show)
    except KeyboardInterrupt:
        console.print("stopped; nothing was left behind")
        return _INTERRUPTED
    except EmbeddedError as error:
        raise SceneError(str(error)) from error
    if as_json:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print_ending(console, result)
    return 0 if result.held else 1


def show_for(console: Console, plan: Plan) -> Show:
    """Return the live screen where the terminal can show one, else plain lines."""
    return Screen(console, plan) if Screen.fits(console, plan) else Lines(console)


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, force_terminal=terminal, width=None if terminal else _PIPED_WIDTH)


@contextmanager
def _end_politely_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process as an exception does, so that the scene is cleared away."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _smooth() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
