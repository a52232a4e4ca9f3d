"""A Litestar store: response cache, sessions and rate limits near in each process, and the same in all of them.

One store, and its namespaces, are one cache. Needs the extra ``litestar``.
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

# As long as an entry may live; what was stored for longer, or for ever, ends then.
MAX_TTL = timedelta(days=30).total_seconds()
# What was stored without an end is wrapped, because no read may give it one (``renew_for``).
_Stored = bytes | tuple[bytes]


class _Source:
    """The one cache of a store and its namespaces.

    One that was made here ends with the app's lifespan, and whoever comes after that has a new one: a test that starts
    the app once more, or looks what it left behind. One that was given stays its owner's.
    """

    def __init__(self, cache: Cache, make: Callable[[], Cache] | None) -> None:
        self._cache, self._make = cache, make
        self._entered = 0
        self._loop: AbstractEventLoop | None = None
        self._pid = 0  # of the process that the loop runs in: a forked child finds it running, where nobody runs it

    @property
    def cache(self) -> Cache:
        """As long as this is the same object, what was made of it is."""
        if self._make is not None and self._cache.closed:
            self._cache = self._make()
        return self._cache

    async def run(self, verb: Coroutine[Any, Any, T]) -> T:
        """Run a verb on the loop that the cache is used on: tests look into a store from a loop beside the app's."""
        here = get_running_loop()
        if self._loop is not here:
            if self._loop is not None and self._loop.is_running() and self._pid == os.getpid():
                return await wrap_future(run_coroutine_threadsafe(verb, self._loop))
            self._loop, self._pid = here, os.getpid()
        return await verb

    async def enter(self) -> None:
        """One of the stores begins."""
        await self.run(self.cache.open())
        self._entered += 1

    async def leave(self) -> None:
        """One of the stores ends. Memory is nothing that must be given back, and would be lost."""
        self._entered -= 1
        if self._make is not None and self._entered == 0 and self._cache.settings.has_server:
            await self.run(self._cache.close())


class FleetStore(NamespacedStore):
    """A ``litestar.stores.base.NamespacedStore`` over a ``Cache``.

    No fault of the server raises: reads are then answered from memory, or ``None``; writes and removals reach the
    server when it is back.

    Args:
        cache: A URL as for ``Cache``; ``None`` is as the environment says (``CACHE_DRIVER``, ``REDIS_URL``, ...). The
            app's lifespan opens and closes it. Or a ``Cache`` of yours, which it opens and leaves to you.
        namespace: What is stored is a namespace of the cache, which ``delete_all()`` clears; ``None``: the whole cache.
        near: Whether reads may be answered from this process's memory while the server can be asked. For responses;
            not for what is written back as it was read, sessions and rate limits.
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
                    f"a ready Cache has its settings: give {', '.join(sorted(settings))} where it is made"
                )
            self._source = _Source(cache, None)
        else:
            make = partial(Cache.from_env if cache is None else partial(Cache, cache), **settings)
            self._source = _Source(make(), make)
        self.namespace, self.near = namespace, near
        self._kept = self._look()

    def _look(self) -> Any:
        """The verbs of the namespace, with the cache that they are of."""
        cache = self._source.cache
        return cache, cache if self.namespace is None else cache.namespace(self.namespace)

    @property
    def cache(self) -> Cache:
        """The cache behind it: for ``health()``, ``stats()``, ``OpsApp``."""
        return self._source.cache

    @property
    def _verbs(self) -> Any:
        if self._kept[0] is not self._source.cache:
            self._kept = self._look()
        return self._kept[1]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace!r} over {self.cache!r}>"

    def with_namespace(self, namespace: str, *, near: bool | None = None) -> Self:
        """The same store for keys of their own; ``delete_all()`` of this one clears them too.

        Args:
            namespace: Comes after the namespace of this one.
            near: As of the class; ``None``: as this one.

        Raises:
            KeyRuleError: It is empty or too long.
        """
        part = copy.copy(self)
        part.namespace = namespace if self.namespace is None else f"{self.namespace}:{namespace}"
        part.near = self.near if near is None else near
        part._kept = part._look()  # noqa: SLF001 - its own kind
        return part

    # -- values ------------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Store a value.

        One that is too large (``CACHE_MAX_VALUE_BYTES``) is not, with an ERROR in the log: a response that cannot be
        cached is a response all the same. With ``CACHE_STRICT`` it raises.

        Args:
            key: Any text.
            value: Text is stored as UTF-8.
            expires_in: Seconds, or a ``timedelta``; more than 30 days is 30 days, as is ``None``; 0 and less is over
                already.
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
            text = "a value of Litestar's is answered but not kept: %s"
            log.error(text, error, extra=extra)  # noqa: TRY400 - the message says it all
            await self._source.run(self._verbs.delete(name))  # what is there is older

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """The value, or ``None``.

        Args:
            key: As of ``set``.
            renew_for: How long it is to live from now on, if it was stored with an end; 0 and less change nothing.
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
        """Remove it everywhere."""
        await self._source.run(self._verbs.delete(any_key(key)))

    async def delete_all(self) -> None:
        """Remove all of this namespace and of those in it. Nothing else of the server is touched."""
        await self._source.run(self._verbs.clear())

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""
        return await self._read(any_key(key)) is not None

    async def expires_in(self, key: str) -> int | None:
        """Seconds it has left, rounded down; ``-1`` if it was stored without an end, ``None`` if it is not there."""
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
