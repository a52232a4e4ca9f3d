"""``Cache.sync``: the verbs for threads of a process whose event loop runs the cache. See ``engine.portal``."""

from typing import Protocol

from ..engine.portal import LoopPortal
from ..engine.threads.pool import Around
from ..telemetry.health import Health
from .namespace import Namespace
from .scope import Scope
from .sync_namespace import SyncNamespace

__all__ = ["SyncView"]


class Viewed(Protocol):
    """The cache behind the view: an open ``Cache``."""

    _scope: Scope

    @property
    def closed(self) -> bool: ...
    @property
    def tried(self) -> bool: ...
    async def health(self) -> Health: ...
    def status_now(self) -> Health: ...


class SyncView(SyncNamespace):
    """The verbs of an open ``Cache`` for threads of the same process; see ``Cache.sync``.

    Example:
        >>> import asyncio
        >>> from fleetcache import Cache
        >>> async with Cache("memory://") as cache:
        ...     await asyncio.to_thread(cache.sync.set, "answer", 42)
        ...     await asyncio.to_thread(cache.sync.get, "answer")
        42
    """

    def __init__(self, cache: Viewed) -> None:
        scope = cache._scope  # noqa: SLF001 - two faces of one cache
        self._cache, self._portal = cache, LoopPortal(scope.root)
        super().__init__(Namespace(scope), self._portal)

    def __repr__(self) -> str:
        return f"<sync view of {self._cache!r}>"

    def around_refresh(self, around: Around) -> None:
        """Run every background refresh of a thread's loader within the context manager that ``around()`` returns.

        Args:
            around: Is called without arguments at each refresh, in the thread that refreshes. See ``SyncCache``.

        Example:
            >>> from contextlib import nullcontext
            >>> from fleetcache import Cache
            >>> cache = Cache("memory://", stale="1m")
            >>> cache.sync.around_refresh(nullcontext)
        """
        self._portal.around.append(around)

    @property
    def closed(self) -> bool:
        """Whether the cache was closed."""
        return self._cache.closed

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended, in success or failure."""
        return self._cache.tried

    def health(self) -> Health:
        """Return the state of the cache, after a live command to the server: one a second at most for all callers.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> import asyncio
            >>> from fleetcache import Cache
            >>> async with Cache("memory://") as cache:
            ...     (await asyncio.to_thread(cache.sync.health)).driver
            'memory'
        """
        return self._cache.status_now() if self.closed else self._run(self._cache.health())

    def status_now(self) -> Health:
        """Return the state of the cache as last known, without waiting for anything.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import Cache
            >>> Cache("memory://").sync.status_now().driver
            'memory'
        """
        return self._cache.status_now()
