"""What these routes need to know of a cache. ``Cache`` and ``SyncCache`` are such; a test may bring its own."""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Protocol

from ..telemetry.health import Health
from ..telemetry.stats import Stats

__all__ = ["Watched", "health_of"]


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

    def health(self) -> Health | Awaitable[Health]:
        """The report, with the round trip of a real command that is at most a second old."""
        ...

    def status_now(self) -> Health:
        """The report from what is known, without a word to the server."""
        ...

    def stats(self) -> Stats:
        """Counters and gauges."""
        ...


async def health_of(cache: Watched) -> Health:
    """The report of either kind of cache: one for threads is asked in a thread, for its answer may take a moment."""
    asked = cache.health() if inspect.iscoroutinefunction(cache.health) else await asyncio.to_thread(cache.health)
    return await asked if inspect.isawaitable(asked) else asked
