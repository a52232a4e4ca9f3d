"""The parts of a cache that the routes use. ``Cache`` and ``SyncCache`` have them; a test may bring its own object."""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Protocol

from ..telemetry.health import Health
from ..telemetry.stats import Stats

__all__ = ["Watched", "health_of"]


class Watched(Protocol):
    """A cache with a health report and counters: ``Cache``, ``SyncCache``, or your own object with these methods.

    Example:
        >>> from fleetcache import SyncCache
        >>> watched: Watched = SyncCache("memory://")
        >>> watched.tried, watched.closed
        (True, False)
    """

    @property
    def tried(self) -> bool:
        """True once the first attempt to connect has succeeded or failed, and where no server is configured."""
        ...

    @property
    def closed(self) -> bool:
        """True after ``close()``."""
        ...

    def health(self) -> Health | Awaitable[Health]:
        """Return the report, with the round trip of a real command that is at most a second old."""
        ...

    def status_now(self) -> Health:
        """Return the report from known state, without a command to the server."""
        ...

    def stats(self) -> Stats:
        """Return the counters and gauges."""
        ...


async def health_of(cache: Watched) -> Health:
    """Return the report of either kind of cache.

    A cache for threads is asked in a thread, because its answer may take a moment.
    """
    asked = cache.health() if inspect.iscoroutinefunction(cache.health) else await asyncio.to_thread(cache.health)
    return await asked if inspect.isawaitable(asked) else asked
