"""``SyncCache.aio``: tasks work on a cache of threads, through the same near cache, flights and link.

A near hit is answered in the task. Everything else is the verb of ``Cache``, run under the monitor from one wait to the
next. The task's event loop is never blocked, and any number of loops may be used, one after the other or at once.
"""

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from ..engine.threads.engine import SyncEngine
from ..engine.threads.tasks import follow
from ..policy.options import CallOptions
from ..telemetry.health import Health
from .verbs import AsyncVerbs, Namespace

if TYPE_CHECKING:
    from .sync_cache import SyncCache

__all__ = ["AioView"]


def _followed(verb: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the verb, wrapped to run under the monitor."""

    @wraps(verb)
    async def followed(self: "AioVerbs", *args: Any, **kwargs: Any) -> Any:
        engine = cast("SyncEngine", self._home.active)
        engine.check_process()
        return await follow(engine.monitor, verb(self, *args, **kwargs))

    return followed


class AioVerbs(AsyncVerbs):
    """The async verbs over the engine of a ``SyncCache``."""

    if not TYPE_CHECKING:  # type checkers see the types of ``Cache.get``

        async def get(self, key: Any, default: Any = None, *, type: Any = Any, allow_stale: bool = False) -> Any:  # noqa: A002 - the field's word
            """As ``Cache.get``; an entry that the near cache holds as bytes is decoded without the monitor."""
            held = self._near_hit(key)
            if held is not None:
                answer = self._engine.entries.decode_near(held, type)
                if answer is not None:
                    return answer.value
                self._counters.near_hits -= 1  # the entry is of another type
            return await self._ask(key, default, type=type, allow_stale=allow_stale)

        _ask = _followed(AsyncVerbs.get)

    def _part(self, prefix: str, tags: tuple[str, ...], defaults: CallOptions) -> Namespace:
        return AioNamespace(self._home, prefix, tags, defaults)


# These verbs only call another verb, which runs under the monitor. ``get`` is defined above.
_END_IN_ANOTHER = {"get", "get_or_set", "refresh", "set", "delete", "invalidate_tags", "clear"}
for _name, _verb in inspect.getmembers(AsyncVerbs, inspect.iscoroutinefunction):
    if _name not in _END_IN_ANOTHER:
        setattr(AioVerbs, _name, _followed(_verb))


class AioNamespace(AioVerbs, Namespace):
    """A view on a view; see ``Cache.namespace``."""


class AioView(AioVerbs):
    """The verbs of a ``SyncCache`` for tasks of the same process; see ``SyncCache.aio``."""

    def __init__(self, cache: "SyncCache") -> None:
        verbs = cache._verbs  # noqa: SLF001 - two faces of one cache
        super().__init__(cache._home, "", verbs._tags, verbs._defaults)  # noqa: SLF001 - as above
        self._cache = cache

    def __repr__(self) -> str:
        return f"<aio view of {self._cache!r}>"

    @property
    def closed(self) -> bool:
        """Whether the cache was closed."""
        return self._cache.closed

    @property
    def tried(self) -> bool:
        """Whether the first attempt to connect has ended, in success or failure."""
        return self._cache.tried

    async def health(self) -> Health:
        """Return the state of the cache; see ``Health``."""
        if not self.closed:
            await self._probe()
        return self.status_now()

    @_followed
    async def _probe(self) -> None:
        await self._engine.ensure_ready()
        await self._engine.reporter.probe()

    def status_now(self) -> Health:
        """Return the state of the cache as last known, without waiting for anything."""
        return self._cache.status_now()
