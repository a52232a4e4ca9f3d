"""What these routes need to know of a cache. ``fleetcache.Cache`` is one; a test may bring its own."""

from typing import Protocol

from ..health import Health
from ..stats import Stats

__all__ = ["Watched"]


class Watched(Protocol):
    """A cache that can be asked how it does."""

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended, either way; true where there is no server to connect to."""
        ...

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        ...

    async def health(self) -> Health:
        """The report, with the round trip of a real command that is at most a second old."""
        ...

    def status_now(self) -> Health:
        """The report from what is known, without a word to the server."""
        ...

    def stats(self) -> Stats:
        """Counters and gauges."""
        ...
