"""What the log says of the way to the server: one line when it goes, one when it is back.

Rules:

1. Both lines are warnings: who was told of an outage is told of its end, whatever level is shown.
2. An outage has two lines, or none: one pair a minute at most. What had none is counted, and the count is told when
   the minute is over; an outage that lasts is told then, too.
"""

import logging
from collections.abc import Callable

from ..clock import Clock
from ..log import Teller

__all__ = ["Outages"]

# Seconds between the beginnings of two pairs of lines. A link that flaps is one trouble, not a hundred.
QUIET = 60.0


class Outages:
    """The absences of one link.

    Args:
        clock: Seconds.
        tell: Writes the lines.
    """

    def __init__(self, clock: Clock, tell: Teller) -> None:
        self._clock, self._tell = clock, tell
        self._since: float | None = None  # of the one under way
        self._told = False  # of which the log has the beginning
        self._told_at = -float("inf")  # when it last had one
        self._untold = 0  # over since then, and not in the log
        self._reason, self._what = "", ""

    def began(self, reason: str, what: str) -> bool:
        """The link is offline; whether that is news.

        Args:
            reason: A code of the health report.
            what: The server, and what it did, in words.
        """
        if self._since is not None:
            return False
        self._since, self._told, self._reason, self._what = self._clock(), False, reason, what
        self.look()
        return True

    def ended(self, replayed: Callable[[], int]) -> None:
        """The link is online; ``replayed`` removals were delivered in its handshake."""
        if self._since is None:
            return
        away, self._since = self._clock() - self._since, None
        if self._told:
            text = "cache online again after %.1f s; %d removals replayed"
            self._tell(logging.WARNING, "online", text, away, replayed(), reason=self._reason, seconds=away)
        else:
            self._untold += 1

    def forget(self) -> None:
        """The loop or the process is another: what was under way is none of its business."""
        self._since, self._untold = None, 0

    def look(self) -> None:
        """Tell what has become due; to be asked at every heartbeat and every failed attempt."""
        now = self._clock()
        quiet = now - self._told_at
        if quiet < QUIET or (self._since is None and not self._untold) or (self._since is not None and self._told):
            return
        before = f"; it went away {self._untold} times more in the last {quiet:.0f} s" if self._untold else ""
        if self._since is None:
            text = "the way to the cache server is unstable (%s): %s%s"
            self._tell(logging.WARNING, "unstable", text, self._reason, self._what, before, reason=self._reason)
        else:
            text = "cache offline (%s): %s%s; this instance goes on from its own memory"
            args = (self._reason, self._what, before)
            self._tell(logging.WARNING, "offline", text, *args, reason=self._reason, seconds=now - self._since)
            self._told = True
        self._told_at, self._untold = now, 0
