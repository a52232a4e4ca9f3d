"""``SyncCache.aio``: tasks use a cache for threads, through the same near cache, flights and link.

A near hit is answered in the task. Everything else is the verb of ``Cache``, run under the monitor from one wait to the
next. The task's event loop is never blocked, and any number of loops may be used, one after the other or at once.
"""

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

from ..engine.threads.engine import SyncEngine
from ..engine.threads.tasks import follow
from ..telemetry.health import Health
from .namespace import Namespace
from .scope import Scope

__all__ = ["AioView"]

V = TypeVar("V", bound=type[Namespace])


class Viewed(Protocol):
    """The cache behind the view: a ``SyncCache``."""

    _scope: Scope

    @property
    def closed(self) -> bool: ...
    @property
    def tried(self) -> bool: ...
    def status_now(self) -> Health: ...


def _followed(verb: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the verb, wrapped to run under the monitor."""

    @wraps(verb)
    async def followed(self: Namespace, *args: Any, **kwargs: Any) -> Any:
        engine = cast("SyncEngine", self._scope.root.active)
        engine.check_process()
        return await follow(engine.monitor, verb(self, *args, **kwargs))

    return followed


_ask = _followed(Namespace.get)


@wraps(Namespace.get)
async def _get(self: Namespace, key: Any, default: Any = None, *, type: Any = Any, allow_stale: bool = False) -> Any:  # noqa: A002 - the field's word
    """Like ``Cache.get``; an entry that the near cache holds as bytes is decoded without the monitor."""
    held = self._near_hit(key)
    if held is not None:
        answer = self._engine.entries.decode_near(held, type)
        if answer is not None:
            return answer.value
        self._counters.near_hits -= 1  # the entry is of another type
    return await _ask(self, key, default, type=type, allow_stale=allow_stale)


def _view_on(_view: Namespace, scope: Scope) -> Namespace:
    return AioNamespace(scope)


# These verbs only call another verb, which runs under the monitor. ``get`` is written above.
_END_IN_ANOTHER = {"get", "get_or_set", "get_or_set_many", "refresh", "set", "delete", "invalidate_tags", "clear"}


def _under_monitor(view: V) -> V:
    """Have the verbs of a class run under the monitor of a ``SyncEngine``."""
    for name, verb in inspect.getmembers(Namespace, inspect.iscoroutinefunction):
        if name not in _END_IN_ANOTHER:
            setattr(view, name, _followed(verb))
    view.get = _get  # type: ignore[assignment, method-assign] # type checkers see the types of ``Cache.get``
    view._view_on = _view_on  # type: ignore[assignment, method-assign] # noqa: SLF001 - namespaces of a view are views
    return view


@_under_monitor
class AioNamespace(Namespace):
    """A view on a view; see ``Cache.namespace``."""


@_under_monitor
class AioView(Namespace):
    """The verbs of a ``SyncCache`` for tasks of the same process; see ``SyncCache.aio``.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> await cache.aio.set("answer", 42)
        >>> cache.get("answer")
        42
    """

    def __init__(self, cache: Viewed) -> None:
        super().__init__(cache._scope)  # noqa: SLF001 - two faces of one cache
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
        """Return the state of the cache, after a live command to the server: one a second at most for all callers.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import SyncCache
            >>> (await SyncCache("memory://").aio.health()).driver
            'memory'
        """
        if not self.closed:
            await self._probe()
        return self.status_now()

    @_followed
    async def _probe(self) -> None:
        await self._engine.ensure_ready()
        await self._engine.reporter.probe()

    def status_now(self) -> Health:
        """Return the state of the cache as last known, without waiting for anything.

        Returns:
            The state, its reason, and its consequences; see ``Health``.

        Example:
            >>> from fleetcache import SyncCache
            >>> SyncCache("memory://").aio.status_now().driver
            'memory'
        """
        return self._cache.status_now()
