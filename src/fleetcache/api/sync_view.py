"""``Cache.sync``: the verbs for threads of a process whose event loop runs the cache. See ``engine.portal``."""

from typing import TYPE_CHECKING

from ..engine.portal import LoopPortal
from ..engine.threads.pool import Around
from ..telemetry.health import Health
from .sync_verbs import SyncVerbs

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["SyncView"]


class SyncView(SyncVerbs):
    """The verbs of an open ``Cache`` for threads of the same process; see ``Cache.sync``."""

    def __init__(self, cache: "Cache") -> None:
        self._bridge = LoopPortal(cache._home)  # noqa: SLF001 - two faces of one cache
        self._cache = cache
        super().__init__(cache, self._bridge)

    def __repr__(self) -> str:
        return f"<sync view of {self._cache!r}>"

    def around_refresh(self, around: Around) -> None:
        """Run every background refresh of a thread's loader within a context manager; see ``SyncCache``."""
        self._bridge.around.append(around)

    @property
    def closed(self) -> bool:
        """Whether the cache was closed."""
        return self._cache.closed

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended, in success or failure."""
        return self._cache.tried

    def health(self) -> Health:
        """Return the state of the cache; see ``Health``."""
        return self._cache.status_now() if self.closed else self._run(self._cache.health())

    def status_now(self) -> Health:
        """Return the state of the cache as last known, without waiting for anything."""
        return self._cache.status_now()
