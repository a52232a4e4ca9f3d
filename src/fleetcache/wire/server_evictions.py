"""Whether the server evicts: it may then drop a lease while its holder loads, and a second process loads as well.

1. ``evicted_keys`` of ``INFO stats`` shows this; a push does not, because it names a key and no cause.
2. The cache asks in the handshake, once a minute, and with the next heartbeat after a push for a key that is loaded
   here. The server evicts while the number has risen from one answer to the next.
3. A server that does not report the number, or may not be asked, is not asked again on this connection, and counts as a
   server that does not evict.
"""

from typing import Any

from ..clock import Clock
from .session import ReplyError

__all__ = ["ASKED", "Turnover"]

ASKED = ("INFO", "stats")

# Seconds between two questions: evictions that happen once a minute or more often are worth knowing.
EVERY = 60.0


class Turnover:
    """The server's evictions, as far as they are known.

    Attributes:
        evicting: Whether the server evicts.
        since: When the evictions were found out, on the clock of this process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.since = 0.0
        self.begin()

    def begin(self, *, tells: bool = True) -> None:
        """Start over on a new connection, which may lead to another server with another count.

        Args:
            tells: Whether the server may be asked.
        """
        self.evicting = False
        self._known: int | None = None
        self._asked_at = -float("inf")
        self._tells, self._suspected = tells, False

    def suspect(self) -> None:
        """Have the next heartbeat ask, after a push for a key that is loaded here."""
        self._suspected = True

    def is_due(self) -> bool:
        """Return True if the server should be asked now; the caller must then ask."""
        now = self._clock()
        if not self._tells or not (self._suspected or now - self._asked_at >= EVERY):
            return False
        self._asked_at, self._suspected = now, False
        return True

    def heard(self, reply: Any) -> None:
        """Handle the reply to ``INFO stats``."""
        count = None if isinstance(reply, ReplyError) else _evicted(reply)
        if count is None:
            self._tells = self.evicting = False
            return
        evicting = self._known is not None and count > self._known
        if evicting and not self.evicting:
            self.since = self._clock()
        self._known, self.evicting = count, evicting


def _evicted(info: Any) -> int | None:
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "evicted_keys" and value.isdecimal():
            return int(value)
    return None
