"""A Litestar store: response cache, sessions and rate limits in each process's near cache, and equal in all processes.

A store and its namespaces share one cache. Needs the extra ``litestar``.
"""

import copy
import logging
import os
from asyncio import AbstractEventLoop, get_running_loop, run_coroutine_threadsafe, wrap_future
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

try:
    from litestar.stores.base import NamespacedStore
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "fleetcache.contrib.litestar needs Litestar, which is not installed: pip install fleetcache[litestar]",
        name=missing.name,
    ) from missing

from fleetcache import Cache, CodecError, ConfigError

from .safe_key import any_key

__all__ = ["FleetStore"]

log = logging.getLogger("fleetcache")

T = TypeVar("T")

# The longest life of an entry; values stored for longer, or forever, expire then.
MAX_TTL = timedelta(days=30).total_seconds()
# A value stored without an expiration is wrapped in a tuple, because no read may give it one (``renew_for``).
_Stored = bytes | tuple[bytes]


class _Source:
    """The one cache of a store and its namespaces.

    A cache that the store made is closed at the end of the app's lifespan. A later use gets a new cache, such as a test
    that starts the app once more or reads the data left behind. A cache that was passed in is never closed here.
    """

    def __init__(self, cache: Cache, make: Callable[[], Cache] | None) -> None:
        self._cache, self._make = cache, make
        self._entered = 0
        self._loop: AbstractEventLoop | None = None
        self._pid = 0  # of the process that runs the loop: a forked child's copy looks running, but no thread runs it

    @property
    def cache(self) -> Cache:
        """The cache; a new object once the cache that the store made is closed. Namespaces stay valid until then."""
        if self._make is not None and self._cache.closed:
            self._cache = self._make()
        return self._cache

    async def run(self, verb: Coroutine[Any, Any, T]) -> T:
        """Run a verb on the cache's event loop. Tests may read a store from a second loop while the app's loop runs."""
        here = get_running_loop()
        if self._loop is not here:
            if self._loop is not None and self._loop.is_running() and self._pid == os.getpid():
                return await wrap_future(run_coroutine_threadsafe(verb, self._loop))
            self._loop, self._pid = here, os.getpid()
        return await verb

    async def enter(self) -> None:
        """Note that a store's lifespan begins, and open the cache."""
        await self.run(self.cache.open())
        self._entered += 1

    async def leave(self) -> None:
        """Note that a store's lifespan ends; after the last one, close a cache that the store made.

        A cache in memory stays open: it holds nothing on a server, and its entries would be lost.
        """
        self._entered -= 1
        if self._make is not None and self._entered == 0 and self._cache.settings.has_server:
            await self.run(self._cache.close())


class FleetStore(NamespacedStore):
    """A ``litestar.stores.base.NamespacedStore`` over a ``Cache``.

    No fault of the server raises: reads are then answered from memory, or ``None``; writes and removals reach the
    server when it is back.

    Args:
        cache: A URL as for ``Cache``; with ``None`` the environment decides (``CACHE_DRIVER``, ``REDIS_URL``, ...). The
            app's lifespan opens and closes that cache. Or your own ``Cache``, which the lifespan opens and you close.
        namespace: The namespace of the cache that holds the store's values, and that ``delete_all()`` clears; ``None``:
            the whole cache.
        near: Whether reads may be answered from this process's memory while the server can be asked. Use it for
            responses, not for values that are read, changed and written back, such as sessions and rate limits.
        **settings: Fields of ``Settings``.

    Raises:
        ConfigError: A setting is wrong.

    Example:
        >>> from litestar import Litestar
        >>> from litestar.stores.registry import StoreRegistry
        >>> store = FleetStore("memory://")
        >>> sessions = store.with_namespace("sessions", near=False)
        >>> registry = StoreRegistry({"sessions": sessions}, default_factory=store.with_namespace)
        >>> app = Litestar(stores=registry, lifespan=[store])
        >>> app.stores.get("response_cache").namespace, sessions.near
        ('litestar:response_cache', False)
    """

    __slots__ = ("_kept", "_source", "near")

    def __init__(
        self,
        cache: Cache | str | None = None,
        *,
        namespace: str | None = "litestar",
        near: bool = True,
        **settings: Any,
    ) -> None:
        if isinstance(cache, Cache):
            if settings:
                raise ConfigError(
                    f"a ready Cache has its settings: pass {', '.join(sorted(settings))} where it is made"
                )
            self._source = _Source(cache, None)
        else:
            make = partial(Cache.from_env if cache is None else partial(Cache, cache), **settings)
            self._source = _Source(make(), make)
        self.namespace, self.near = namespace, near
        self._kept = self._look()

    def _look(self) -> Any:
        """Return the cache, and the object whose verbs the store calls: the cache or its namespace."""
        cache = self._source.cache
        return cache, cache if self.namespace is None else cache.namespace(self.namespace)

    @property
    def cache(self) -> Cache:
        """The cache behind the store: for ``health()``, ``stats()``, ``OpsApp``."""
        return self._source.cache

    @property
    def _verbs(self) -> Any:
        if self._kept[0] is not self._source.cache:
            self._kept = self._look()
        return self._kept[1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace!r} over {self.cache!r}>"

    def with_namespace(self, namespace: str, *, near: bool | None = None) -> Self:
        """Return a store over the same cache with separate keys; ``delete_all()`` of this store clears them too.

        Args:
            namespace: Appended to the namespace of this store.
            near: As in the constructor; ``None``: as in this store.

        Raises:
            KeyRuleError: ``namespace`` is empty or too long.
        """
        part = copy.copy(self)
        part.namespace = namespace if self.namespace is None else f"{self.namespace}:{namespace}"
        part.near = self.near if near is None else near
        part._kept = part._look()  # noqa: SLF001 - of the same class
        return part

    # -- values ------------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Store a value.

        A value that is too large (``CACHE_MAX_VALUE_BYTES``) is not stored and writes an ERROR to the log, because a
        response that cannot be cached is still sent. With ``CACHE_STRICT`` it raises.

        Args:
            key: Any text.
            value: Text is stored as UTF-8.
            expires_in: Seconds, or a ``timedelta``. ``None`` and more than 30 days mean 30 days; 0 and less mean
                already expired.
        """
        raw = value.encode() if isinstance(value, str) else bytes(value)
        ttl = MAX_TTL if expires_in is None else _seconds(expires_in)
        name = any_key(key)
        if ttl <= 0:
            await self._source.run(self._verbs.delete(name))
            return
        stored: _Stored = (raw,) if expires_in is None else raw
        try:
            await self._source.run(self._verbs.set(name, stored, ttl=min(ttl, MAX_TTL), type=_Stored))
        except CodecError as error:
            if self.cache.settings.strict:
                raise
            extra = {
                "event": "uncached",
                "reason": None,
                "driver": self.cache.settings.resolved_driver,
                "seconds": None,
            }
            text = "uncached: a value of Litestar (%s); it is answered but not kept"
            log.error(text, error, extra=extra)  # noqa: TRY400 - the message says it all
            await self._source.run(self._verbs.delete(name))  # a stored value is outdated

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return the value, or ``None``.

        Args:
            key: As of ``set``.
            renew_for: The value's new life from now on, if it was stored with an expiration; 0 and less change nothing.
        """
        name = any_key(key)
        found = await self._read(name)
        if isinstance(found, tuple):
            return found[0]
        ttl = 0.0 if found is None or renew_for is None else _seconds(renew_for)
        if ttl > 0:
            await self._source.run(self._verbs.touch(name, min(ttl, MAX_TTL)))
        return found

    async def _read(self, name: str) -> _Stored | None:
        if self.near:
            found: _Stored | None = await self._source.run(self._verbs.get(name, type=_Stored))
            return found
        many: dict[str, _Stored] = await self._source.run(self._verbs.get_many([name], type=_Stored, near=False))
        return many.get(name)

    async def delete(self, key: str) -> None:
        """Remove the value, on every instance."""
        await self._source.run(self._verbs.delete(any_key(key)))

    async def delete_all(self) -> None:
        """Remove all values of this namespace and of namespaces within it. Other keys on the server stay."""
        await self._source.run(self._verbs.clear())

    async def exists(self, key: str) -> bool:
        """Return True if the key has a value."""
        return await self._read(any_key(key)) is not None

    async def expires_in(self, key: str) -> int | None:
        """Return the value's remaining seconds, rounded down.

        ``-1`` means stored without an expiration, ``None`` that the key has no value.
        """
        name = any_key(key)
        found = await self._read(name)
        if found is None:
            return None
        if isinstance(found, tuple):
            return -1
        both = await self._source.run(self._verbs.explain(name))
        left = both.near_fresh_for if both.shared_fresh_for is None else both.shared_fresh_for
        return None if left is None or left <= 0 else int(left)

    # -- lifespan ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> None:
        await self._source.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._source.leave()


def _seconds(length: int | timedelta) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else float(length)
