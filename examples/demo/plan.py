"""What a run of the demo is asked for, and what it needs, looked for before any of it is imported or started.

Standard library only: this must be able to say what is missing.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FEWEST_SECONDS", "MOST_INSTANCES", "Plan", "SceneError", "check_needs"]

FEWEST_SECONDS = 5.0  # less, and the outage would be over before near copies end
_PACKAGES = ("httpx", "prometheus_client", "starlette", "uvicorn")
MOST_INSTANCES = 9  # their table fills a usual terminal


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes:
        seconds: That the story takes, without start and end. 40 can be followed, and all is well under a minute.
        instances: How many. Three are the fewest that show a majority which did not do it.
        seed: Of the addresses and of the origin's delays. Any number would do; the same one gives the same addresses.
        trace: A file of addresses to send instead.
    """

    seconds: float = 40.0
    instances: int = 3
    seed: int = 20150517
    trace: Path | None = None


class SceneError(RuntimeError):
    """The scene cannot be set up; says what is missing and what to do."""


def check_needs() -> None:
    """Look for the packages that ``make demo`` installs. The server has a look-up of its own.

    Raises:
        SceneError: One is missing, or the system has no processes as the demo starts them.
    """
    if os.name != "posix":
        raise SceneError(f"it starts and kills processes as Linux and macOS do; this system is {os.name}")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SceneError(f"not installed: {', '.join(missing)}. `make demo` installs what it needs")
