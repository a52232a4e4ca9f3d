"""``override``: app code's cache uses another cache for a while. Also the caches in memory to be used for that."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from ..api.cache import Cache
from ..api.sync_cache import SyncCache
from ..clock import Clock, monotonic
from ..config.environment import VARIABLES
from ..config.settings import Settings
from ..engine.aio.engine import AioEngine
from ..engine.engine import Engine
from ..engine.threads.engine import SyncEngine
from .engine_override import EngineOverride

__all__ = ["Overriding", "engine_like", "memory_cache", "memory_engine", "memory_like", "override"]

C = TypeVar("C", bound=Cache | SyncCache)

_NEAR_MAX_BYTES = next(variable.default for variable in VARIABLES if variable.field == "near_max_bytes")


def memory_cache(*, clock: Clock = monotonic, **settings: Any) -> Cache:
    """Return a cache in memory, with ``CACHE_STRICT`` on: errors that are only logged in production raise here.

    Args:
        clock: The cache's clock; a ``ManualClock`` to control its time.
        **settings: Fields of ``Settings``.

    Example:
        >>> import asyncio
        >>> from fleetcache.testing import ManualClock
        >>> clock = ManualClock()
        >>> cache = memory_cache(clock=clock)
        >>> async def main() -> None:
        ...     await cache.set("greeting", "hello", ttl="1m")
        ...     clock.advance("61s")
        ...     print(await cache.get("greeting"))
        >>> asyncio.run(main())
        None
    """
    there = Settings.from_url("memory://", **{"strict": True, "ttl_jitter": 0, **settings})
    return _cache(AioEngine(there, clock=clock))


def memory_like(settings: Settings) -> Settings:
    """Return the settings changed to memory and strict, and with a near cache even where the app has none.

    Without a server, the near cache is the only store.
    """
    near = settings.near_max_bytes or _NEAR_MAX_BYTES
    return replace(
        settings,
        driver="memory",
        url=None,
        required=False,
        strict=True,
        ttl_jitter=0.0,
        near_max_bytes=near,
        credential_provider=None,
    )


def memory_engine(home: Engine, *, clock: Clock = monotonic) -> Engine:
    """Return an empty engine in memory that is otherwise set up like ``home``."""
    return engine_like(home, memory_like(home.settings), clock=clock)


def engine_like(home: Engine, settings: Settings, **more: Any) -> Engine:
    """Return an engine of the class of ``home``, with the context manager that the app put around its refreshes."""
    if isinstance(home, SyncEngine):
        more["around"] = home.around
    return type(home)(settings, **more)


class Overriding(AbstractContextManager[C], AbstractAsyncContextManager[C]):
    """The return value of ``override``, to be entered by ``with`` or ``async with``."""

    def __init__(self, cache: C, other: C | None, clock: Clock | None) -> None:
        if other is not None and clock is not None:
            raise TypeError("override takes another cache or a clock for a fresh one, not both")
        if other is not None and isinstance(other, SyncCache) is not isinstance(cache, SyncCache):
            raise TypeError("override: a Cache stands in for a Cache, and a SyncCache for a SyncCache")
        self._cache, self._other, self._clock = cache, other, clock
        self._stand_in: EngineOverride | None = None

    def __enter__(self) -> C:
        if self._stand_in is not None:
            raise RuntimeError("this override is in force already: call override() again for another")
        home = _home(self._cache)
        if self._other is not None:
            engine = _home(self._other).active
            self._stand_in = EngineOverride(home, lambda _home: engine, lent=True)
            return self._other
        self._stand_in = EngineOverride(home, partial(memory_engine, clock=self._clock or monotonic))
        return _face_like(self._cache, self._stand_in.engine)

    def __exit__(self, *_: object) -> None:
        self._over().leave()

    async def __aenter__(self) -> C:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        await self._over().aleave()

    def _over(self) -> EngineOverride:
        stand_in, self._stand_in = self._stand_in, None
        if stand_in is None:
            raise RuntimeError("this override is not in force")
        return stand_in


def override(cache: C, other: C | None = None, *, clock: Clock | None = None) -> Overriding[C]:
    """For the ``with`` block, make app code's cache use another cache.

    Its namespaces and decorated functions, including those made at import, use the other cache too. Namespaces and
    functions that are made of the app's cache in the block use that cache again after it. Blocks nest. Write ``async
    with`` in async code, so that the end of the fresh cache is awaited.

    Args:
        cache: The app's cache.
        other: The cache to use instead. It belongs to you and stays open. By default a fresh, strict cache in memory
            with the app's own settings, which is closed at the end of the block.
        clock: The clock of the fresh cache; a ``ManualClock`` to control its time.

    Returns:
        A context manager, sync and async, that gives the cache in use.

    Raises:
        TypeError: Both another cache and a clock were given, or a cache of another kind.

    Example:
        >>> import asyncio
        >>> from fleetcache import Cache
        >>> cache = Cache("redis://cache.example", prefix="shop")  # in app.py
        >>> @cache.cached
        ... async def double(n: int) -> int:
        ...     return 2 * n
        >>> async def main() -> None:
        ...     async with override(cache) as memory:
        ...         print(await double(21), memory.stats().near_items)
        >>> asyncio.run(main())
        42 1
    """
    return Overriding(cache, other, clock)


def _face_like(_cache_there: C, engine: Engine) -> C:
    face = SyncCache._from_engine(engine) if isinstance(engine, SyncEngine) else _cache(engine)  # noqa: SLF001 - made for tests
    return cast("C", face)


def _home(cache: Cache | SyncCache) -> Engine:
    return cache._scope.root  # noqa: SLF001 - the hook made for tests


def _cache(engine: Engine) -> Cache:
    return Cache._from_engine(engine)  # noqa: SLF001 - as above
