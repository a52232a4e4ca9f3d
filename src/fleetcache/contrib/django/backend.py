"""The backend: Django's words for a cache, said in ours. What Django leaves to its backends is decided here."""
# ruff: noqa: ASYNC109 - in Django's words a timeout is how long an entry lives

import asyncio
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db.models import QuerySet

from fleetcache import MISSING, CodecError, ConfigError, SyncCache, Unavailable

from ..safe_key import any_key
from .process import shared

__all__ = ["MAX_TTL", "MIN_TTL", "FleetCache", "NotCounted", "NotPicklable", "cache_of"]

# What the core allows: TIMEOUT=None and anything longer is the longest, anything shorter than a moment is a moment.
MAX_TTL: Final = 30 * 86_400.0
MIN_TTL: Final = 0.001
# Keys of Django's own session engines. Who logs in during an outage should not be logged out half a minute later.
SESSIONS: Final = "django.contrib.sessions."
SESSIONS_OFFLINE: Final = 3600.0
# Seconds between two looks whether a server that is late has answered.
LOOK_EVERY: Final = 0.005
MAX_PREFIX: Final = 32  # characters that every entry carries; longer than people choose


class NotPicklable(CodecError, pickle.PicklingError):
    """A value that cannot be stored; a ``PicklingError`` too, as Django's other backends raise."""


class NotCounted(Unavailable, ValueError):
    """The server did not count; a ``ValueError`` too, as for a counter that is not there."""


class FleetCache(BaseCache):
    """The backend: ``"BACKEND": "fleetcache.contrib.django.FleetCache"``.

    Args:
        location: The server's URL, or ``memory://``, ``embedded://``, ``null://``. Without it, as the environment says:
            ``CACHE_DRIVER``, ``REDIS_URL`` and the other variables of ``Cache.from_env()``.
        params: What else stands in ``CACHES``. ``OPTIONS`` are fields of ``Settings``; by default values are pickled,
            and signed with a key made of ``SECRET_KEY``. ``TIMEOUT=None`` is 30 days.
    """

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._location, self._params = location, params
        self._known: SyncCache | None = None
        # What ``clear()`` of this alias removes, if it is not the whole cache.
        self._tags = (f"KEY_PREFIX {any_key(self.key_prefix, MAX_PREFIX)}",) if self.key_prefix else ()

    @property
    def fleetcache(self) -> SyncCache:
        """The cache behind it; see ``cache_of``.

        Raises:
            ConfigError: LOCATION or an option is wrong; names it, its value and the choices.
        """
        known = self._known
        if known is None or known.closed:
            known = self._known = shared(self._location, self._params.get("OPTIONS") or {})
            if "TIMEOUT" not in self._params and "timeout" not in self._params:
                self.default_timeout = known.settings.ttl
        return known

    # -- what Django says, in our words ------------------------------------------------------------------------------

    def _name(self, key: Any, version: int | None) -> str:
        made: Any = self.make_and_validate_key(key, version=version)
        # What else KEY_FUNCTION makes than text goes on as it is: the verbs say what is wrong with it.
        return any_key(made) if isinstance(made, str) else made

    def _names(self, keys: Iterable[Any], version: int | None) -> dict[str, Any]:
        return {self._name(key, version): key for key in keys}

    def _ttl(self, timeout: Any) -> Any:
        """Seconds; 0 is not at all. To be asked after ``fleetcache``, which may say what the default is."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None:
            return MAX_TTL
        if isinstance(timeout, int | float):
            return max(MIN_TTL, min(timeout, MAX_TTL)) if timeout > 0 else 0
        return timeout

    def _offline_ttl(self, key: Any) -> float | None:
        """How long this process answers for it without the server; ``None``: as the settings say."""
        if not (isinstance(key, str) and key.startswith(SESSIONS)):
            return None
        chosen = self.fleetcache.settings.offline_ttl
        return max(chosen, SESSIONS_OFFLINE) if chosen else None  # 0 is "never", and nobody's to change

    def _offline_ttl_of(self, keys: Iterable[Any]) -> float | None:
        """The same for several: that of sessions only if all are."""
        found = [self._offline_ttl(key) for key in keys]
        return found[0] if found and all(found) else None

    def _is_late(self) -> bool:
        """Whether the server is neither heard nor known to be away: then nobody knows what it would say."""
        cache = self.fleetcache
        return not cache.tried or cache.stats().link == "suspect"

    def _absent(self, key: Any) -> NoReturn:
        raise ValueError(f"Key {key!r} not found") from None

    # -- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value, or ``default``."""
        name, cache = self._name(key, version), self.fleetcache
        value = cache.peek(name, MISSING)  # what near has is decoded without any lock
        if value is not MISSING:
            return value
        if (offline_ttl := self._offline_ttl(key)) is not None:
            return cache.get_many((name,), offline_ttl=offline_ttl).get(name, default)
        return cache.get(name, default)

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """As ``get``."""
        name, cache = self._name(key, version), self.fleetcache.aio
        if (offline_ttl := self._offline_ttl(key)) is not None:
            return (await cache.get_many((name,), offline_ttl=offline_ttl)).get(name, default)
        return await cache.get(name, default)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Those that are there, in one round trip."""
        names = self._names(keys, version)
        return {names[name]: value for name, value in self.fleetcache.get_many(names).items()}

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """As ``get_many``."""
        names = self._names(keys, version)
        return {names[name]: value for name, value in (await self.fleetcache.aio.get_many(names)).items()}

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether it is there."""
        return self.get(key, MISSING, version) is not MISSING

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """As ``has_key``."""
        return await self.aget(key, MISSING, version) is not MISSING

    # -- writing -----------------------------------------------------------------------------------------------------

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store a value."""
        self.set_many({key: value}, timeout, version)

    async def aset(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """As ``set``."""
        await self.aset_many({key: value}, timeout, version)

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Store many, in one round trip; which failed: none, for what the server did not take is removed there."""
        values = {self._name(key, version): value for key, value in data.items()}
        cache = self.fleetcache
        if ttl := self._ttl(timeout):
            with _pickling():
                cache.set_many(values, ttl=ttl, tags=self._tags, offline_ttl=self._offline_ttl_of(data))
        else:
            cache.delete_many(values)
        return []

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """As ``set_many``."""
        values = {self._name(key, version): await _evaluated(value) for key, value in data.items()}
        cache = self.fleetcache.aio
        if ttl := self._ttl(timeout):
            with _pickling():
                await cache.set_many(values, ttl=ttl, tags=self._tags, offline_ttl=self._offline_ttl_of(data))
        else:
            await cache.delete_many(values)
        return []

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store if it is not there; whether it was stored.

        While the server is late it waits for it, one operation timeout at most, and asks once more: sessions ask again
        and again for as long as they hear ``False``.
        """
        name, cache = self._name(key, version), self.fleetcache
        if not (ttl := self._ttl(timeout)):
            return cache.get(name, MISSING) is MISSING
        options: dict[str, Any] = {"ttl": ttl, "tags": self._tags, "offline_ttl": self._offline_ttl(key)}
        with _pickling():
            added = cache.add(name, value, **options)
            if added or not self._is_late():
                return added
            until = time.monotonic() + cache.settings.operation_timeout
            while self._is_late() and time.monotonic() < until:
                time.sleep(LOOK_EVERY)
            return cache.add(name, value, **options)

    async def aadd(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """As ``add``."""
        name, cache = self._name(key, version), self.fleetcache.aio
        if not (ttl := self._ttl(timeout)):
            return await cache.get(name, MISSING) is MISSING
        options: dict[str, Any] = {"ttl": ttl, "tags": self._tags, "offline_ttl": self._offline_ttl(key)}
        with _pickling():
            value = await _evaluated(value)
            added = await cache.add(name, value, **options)
            if added or not self._is_late():
                return added
            until = time.monotonic() + self.fleetcache.settings.operation_timeout
            while self._is_late() and time.monotonic() < until:  # noqa: ASYNC110 - no event of this loop tells
                await asyncio.sleep(LOOK_EVERY)
            return await cache.add(name, value, **options)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give it a new life; whether it was there."""
        name, cache = self._name(key, version), self.fleetcache
        return cache.touch(name, ttl) if (ttl := self._ttl(timeout)) else cache.delete(name)

    async def atouch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """As ``touch``."""
        name, cache = self._name(key, version), self.fleetcache.aio
        return await (cache.touch(name, ttl) if (ttl := self._ttl(timeout)) else cache.delete(name))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a counter that is there.

        Raises:
            ValueError: It is not there; ``NotCounted`` when the server cannot be asked.
        """
        try:
            return self.fleetcache.incr(self._name(key, version), delta, create=False)
        except KeyError:
            self._absent(key)
        except Unavailable as error:
            raise NotCounted(str(error)) from None

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """As ``incr``."""
        try:
            return await self.fleetcache.aio.incr(self._name(key, version), delta, create=False)
        except KeyError:
            self._absent(key)
        except Unavailable as error:
            raise NotCounted(str(error)) from None

    def get_or_set(self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> Any:
        """The value; if there is none, ``default`` or what it returns, called once in the whole fleet."""
        cache, ttl = self.fleetcache, self._ttl(timeout)
        if not ttl or _on_a_loop():  # there nobody must wait for a load, which may be that of a task of this very loop
            return super().get_or_set(key, default, timeout, version)
        load: Callable[[], Any] = default if callable(default) else lambda: default
        return cache.get_or_set(self._name(key, version), load, ttl=ttl, tags=self._tags, type=Any)

    async def aget_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """As ``get_or_set``; ``default`` may be an ``async def`` too."""

        async def load() -> Any:
            value = default() if callable(default) else default
            return await _evaluated(await value if asyncio.iscoroutine(value) else value)

        name, cache = self._name(key, version), self.fleetcache.aio
        if ttl := self._ttl(timeout):
            return await cache.get_or_set(name, load, ttl=ttl, tags=self._tags, type=Any)
        value = await cache.get(name, MISSING)
        return await load() if value is MISSING else value

    # -- removing ----------------------------------------------------------------------------------------------------

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove it everywhere; whether it was there."""
        return self.fleetcache.delete(self._name(key, version))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """As ``delete``."""
        return await self.fleetcache.aio.delete(self._name(key, version))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove many, in one round trip."""
        self.fleetcache.delete_many(self._names(keys, version))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """As ``delete_many``."""
        await self.fleetcache.aio.delete_many(self._names(keys, version))

    def clear(self) -> None:
        """Remove what was stored with this KEY_PREFIX; without one, everything of this OPTIONS prefix."""
        cache = self.fleetcache
        cache.invalidate_tags(*self._tags) if self._tags else cache.clear()

    async def aclear(self) -> None:
        """As ``clear``."""
        cache = self.fleetcache.aio
        await (cache.invalidate_tags(*self._tags) if self._tags else cache.clear())


def cache_of(alias: str = DEFAULT_CACHE_ALIAS) -> SyncCache:
    """The cache behind an alias, for what Django has no words for: tags, ``cached``, ``stats()``, ``aio`` for tasks.

    Raises:
        ConfigError: The alias is of another backend, or its settings are wrong.
    """
    backend: object = caches[alias]
    if not isinstance(backend, FleetCache):
        raise ConfigError(f"CACHES[{alias!r}] is a {type(backend).__name__}; accepted: an alias of FleetCache")
    return backend.fleetcache


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _evaluated(value: Any) -> Any:
    """A queryset with its rows: to pickle it is to ask for them, which a task must await."""
    if isinstance(value, QuerySet):
        async for _ in value:
            pass
    return value


@contextmanager
def _pickling() -> Iterator[None]:
    try:
        yield
    except CodecError as error:
        raise NotPicklable(str(error)) from error
