"""What a run of the demo is asked for, and what it does unasked."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["FEWEST_SECONDS", "MOST_INSTANCES", "Plan"]

FEWEST_SECONDS = 5.0  # less, and the outage would be over before near copies end
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
