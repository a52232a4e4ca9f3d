"""Removals that were acknowledged of late: a server that takes over may not have heard of them.

A primary that was replaced acknowledges on for a while, and a replica that is promoted lacks what had not reached it.
So each acknowledged removal is kept for a minute, and done again where the next link finds another history.
"""

from msgspec import Struct

from ..clock import Clock
from ..format.keys import ALL, Target

__all__ = ["History", "Recent"]


class History(Struct, frozen=True):
    """What names a primary and its data; ``None`` for what it does not say.

    Attributes:
        run_id: Of its process.
        replid: Of its data.
        was_replica: Whether it followed another primary before, in this run.
    """

    run_id: str | None = None
    replid: str | None = None
    was_replica: bool = False

    def may_lack(self, before: "History | None") -> bool:
        """Whether it may not have heard of what a server with the history ``before`` acknowledged.

        A new name for the same data is no reason: a primary gets one when its first replica comes.
        """
        if self.run_id is None and self.replid is None:
            return False  # of such a server everything is distrusted at each connection
        if before is None or self.run_id != before.run_id:
            return True
        return self.replid != before.replid and self.was_replica


class Recent:
    """The newest of each target.

    Args:
        clock: Seconds.
    """

    # A minute covers servers that notice within 30 seconds that they are cut off from the others.
    KEPT = 60.0
    # As many as the journal keeps. Beyond it everything is done again (the tag on every entry): cold, but right.
    MAX = 10_000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: dict[Target, float] = {}  # oldest first
        self.history: History | None = None  # of the server that acknowledged them

    def __len__(self) -> int:
        return len(self._done)

    def done(self, target: Target) -> None:
        """It was acknowledged."""
        now = self._clock()
        self._done.pop(target, None)
        self._done[target] = now
        if len(self._done) > self.MAX:
            self._done = {ALL: now}
        self.heard(now)

    def heard(self, now: float) -> None:
        """The server answered, so what it acknowledged longer ago has reached whoever may take over."""
        old = now - self.KEPT
        while self._done:
            target = next(iter(self._done))
            if self._done[target] > old:
                return
            del self._done[target]

    def missed_by(self, history: History) -> list[Target]:
        """What a server with this history may not have heard of.

        Not by the time since: an outage may last longer than a minute, and what was acknowledged just before it counts.
        """
        return list(self._done) if history.may_lack(self.history) else []
