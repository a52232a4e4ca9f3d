"""Log lines about outages: one line when the connection to the server is lost, one when it is back.

Rules:

1. Both lines are warnings, so every log level that shows an outage also shows its end.
2. An outage gets two lines or none, with at most one pair of lines a minute. Outages without lines are counted, and
   the count is logged when the minute is over. An outage that still lasts at that time is logged as well.
"""

import logging
from collections.abc import Callable

from ..clock import Clock
from ..log import Teller

__all__ = ["Outages"]

# Seconds between the first lines of two pairs. An unstable link is one fault, not a hundred.
QUIET = 60.0


class Outages:
    """The outages of one link.

    Args:
        clock: Seconds.
        tell: Writes the lines.
    """

    def __init__(self, clock: Clock, tell: Teller) -> None:
        self._clock, self._tell = clock, tell
        self._since: float | None = None  # start of the current outage
        self._told = False  # whether the log has the start of the current outage
        self._told_at = -float("inf")  # when the log last got a line about a new outage or an unstable link
        self._untold = 0  # outages that ended since then without a line in the log
        self._reason = self._server = self._fault = ""

    def began(self, reason: str, server: str, fault: str) -> bool:
        """Note that the link is offline; return True unless an outage is already under way.

        Args:
            reason: A code of the health report.
            server: The server's address.
            fault: Its fault in words, with the reason in parentheses.
        """
        if self._since is not None:
            return False
        self._since, self._told = self._clock(), False
        self._reason, self._server, self._fault = reason, server, fault
        self.check()
        return True

    def ended(self, replayed: Callable[[], int]) -> None:
        """Note that the link is online; ``replayed`` counts the removals delivered in its handshake."""
        if self._since is None:
            return
        away, self._since = self._clock() - self._since, None
        if self._told:
            text = "online: %s (after %.1f s); %d removals replayed"
            args = (self._server, away, replayed())
            self._tell(logging.WARNING, "online", text, *args, reason=self._reason, seconds=away)
        else:
            self._untold += 1

    def forget(self) -> None:
        """Drop the current outage, and the count of unlogged ones, after a fork or a change of event loop."""
        self._since, self._untold = None, 0

    def check(self) -> None:
        """Log the lines that are due; called at every heartbeat and every failed connection attempt."""
        now = self._clock()
        quiet = now - self._told_at
        if quiet < QUIET or (self._since is None and not self._untold) or (self._since is not None and self._told):
            return
        before = f"; it was lost {self._untold} more times in the last {quiet:.0f} s" if self._untold else ""
        if self._since is None:
            text = "unstable: %s (%s)%s"
            self._tell(logging.WARNING, "unstable", text, self._server, self._reason, before, reason=self._reason)
        else:
            text = "offline: %s %s; this instance serves from its own memory%s"
            args = (self._server, self._fault, before)
            self._tell(logging.WARNING, "offline", text, *args, reason=self._reason, seconds=now - self._since)
            self._told = True
        self._told_at, self._untold = now, 0
