"""The count of what came back, kept while requests run, so that a screen can look at any time."""

from collections import deque
from dataclasses import dataclass, field

from .answer import Answer

__all__ = ["Tally"]

_RECENT = 1_000  # requests whose times make the percentiles on the screen: some four seconds


@dataclass
class Tally:
    """Requests for addresses so far.

    Attributes:
        requests: All that ended.
        refused: Those that got a clear error because the origin had no calls left and nobody had the answer.
        failed: Those that got anything else than an answer.
        pairs: Instance and path of each answer. An instance with a cache of its own would have called the origin for
            each of them.
        recent: Seconds that the newest requests took.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    pairs: set[tuple[str, str]] = field(default_factory=set)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def note(self, answer: Answer) -> None:
        """Count one."""
        self.requests += 1
        self.recent.append(answer.seconds)
        if answer.ok:
            self.pairs.add((answer.instance, answer.path))
        elif answer.refused:
            self.refused += 1
        else:
            self.failed += 1
