"""The settings of a run of the demo, and a check of its needs, made before any of them is imported or started.

The module uses only the standard library, because it must be able to name a missing package.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FEWEST_SECONDS", "MOST_INSTANCES", "Plan", "SceneError", "check_needs"]

FEWEST_SECONDS = 5.0  # less, and the outage would be over before near copies end
_PACKAGES = ("httpx", "prometheus_client", "starlette", "uvicorn")
MOST_INSTANCES = 9  # a usual terminal has room for so many in the table


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    Attributes:
        seconds: The length of the story, without start and end. People can follow 40, and all ends well under a minute.
        instances: The number of instances. Three are the fewest with a majority that did not make a change.
        seed: Seed of the addresses and of the origin's delays. Any number will do; equal seeds give equal addresses.
        trace: A file of addresses to send instead.
    """

    seconds: float = 40.0
    instances: int = 3
    seed: int = 20150517
    trace: Path | None = None


class SceneError(RuntimeError):
    """The scene cannot be set up; the message names the missing part and the remedy."""


def check_needs() -> None:
    """Look for the packages that ``make demo`` installs. The server has its own check.

    Raises:
        SceneError: A package is missing, or the system does not start processes as the demo does.
    """
    if os.name != "posix":
        raise SceneError(f"it starts and kills processes as Linux and macOS do; this system is {os.name}")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SceneError(f"not installed: {', '.join(missing)}. `make demo` installs what it needs")
