"""Removals that a server acknowledged within the last minute: a server that takes over may lack them.

A replaced primary continues to acknowledge writes for a while, and a promoted replica lacks every write not replicated
to it. So each acknowledged removal is kept for a minute, and repeated when the next link finds a server with another
history.
"""

from msgspec import Struct

from ..clock import Clock
from ..format.keys import ALL, Target

__all__ = ["History", "Recent"]


class History(Struct, frozen=True):
    """The identity of a primary and of its data; ``None`` for a field that the server does not report.

    Attributes:
        run_id: The id of the server's process.
        replid: The replication id of its data.
        was_replica: Whether the server followed another primary before, in this run.
    """

    run_id: str | None = None
    replid: str | None = None
    was_replica: bool = False

    def may_lack(self, before: "History | None") -> bool:
        """Return whether this server may lack removals that a server with the history ``before`` acknowledged.

        A new ``replid`` alone is not a reason: a primary gets one when its first replica connects.
        """
        if self.run_id is None and self.replid is None:
            return False  # everything read from such a server is distrusted at each connection
        if before is None or self.run_id != before.run_id:
            return True
        return self.replid != before.replid and self.was_replica


class Recent:
    """The newest acknowledged removal of each target.

    Args:
        clock: Returns the time in seconds.
    """

    # A minute covers servers that notice within 30 seconds that they are cut off from the other servers.
    KEPT = 60.0
    # As many as the journal keeps. Beyond it the tag on every entry is removed again: a cold cache, but a correct one.
    MAX = 10_000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: dict[Target, float] = {}  # oldest first
        self.history: History | None = None  # of the server that acknowledged these removals

    def __len__(self) -> int:
        return len(self._done)

    def done(self, target: Target) -> None:
        """Record that the server acknowledged the removal of the target."""
        now = self._clock()
        self._done.pop(target, None)
        self._done[target] = now
        if len(self._done) > self.MAX:
            self._done = {ALL: now}
        self.heard(now)

    def heard(self, now: float) -> None:
        """Drop removals older than a minute: the server answers, so they have reached any server that may take over."""
        old = now - self.KEPT
        while self._done:
            target = next(iter(self._done))
            if self._done[target] > old:
                return
            del self._done[target]

    def missed_by(self, history: History) -> list[Target]:
        """Return the removals that a server with this history may lack.

        The time since then does not matter: an outage may last longer than a minute, and removals that were
        acknowledged just before it count.
        """
        return list(self._done) if history.may_lack(self.history) else []
