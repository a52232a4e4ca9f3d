"""The backend: maps Django's cache API to fleetcache, and decides the points that Django leaves to backends.

``health`` is the view of a cache's health, for probes and for operators.
"""
# ruff: noqa: ASYNC109 - Django calls the life of an entry its timeout

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NoReturn

from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from fleetcache import MISSING, ConfigError, SyncCache, Unavailable

from ..safe_key import any_key
from .failures import NotCounted, NotPicklable, pickling, reported
from .process import shared

__all__ = ["MAX_TTL", "MIN_TTL", "FleetCache", "NotCounted", "NotPicklable", "cache_of", "health"]

# The core's bounds, in seconds: TIMEOUT=None and any longer timeout become MAX_TTL, a shorter one becomes MIN_TTL.
MAX_TTL: Final = 30 * 86_400.0
MIN_TTL: Final = 0.001
# Keys of Django's own session engines. A user that logs in during an outage must not be logged out 30 s later.
SESSIONS: Final = "django.contrib.sessions."
SESSIONS_OFFLINE: Final = 3600.0
# Seconds between two checks whether a late server has answered.
LOOK_EVERY: Final = 0.005
MAX_PREFIX: Final = 32  # characters, since every entry carries the prefix; longer than people choose


class FleetCache(BaseCache):
    """The backend: ``"BACKEND": "fleetcache.contrib.django.FleetCache"``.

    Args:
        location: The server's URL, or ``memory://``, ``embedded://``, ``null://``. Without it, the environment decides:
            ``CACHE_DRIVER``, ``REDIS_URL`` and the other variables of ``Cache.from_env()``.
        params: The other entries of the alias in ``CACHES``. ``OPTIONS`` are fields of ``Settings``; by default values
            are pickled, and signed with a key made of ``SECRET_KEY``. ``TIMEOUT=None`` is 30 days.

    Example:
        >>> CACHES = {
        ...     "default": {
        ...         "BACKEND": "fleetcache.contrib.django.FleetCache",
        ...         "LOCATION": "redis://cache.example",
        ...         "OPTIONS": {"prefix": "shop"},
        ...     }
        ... }
    """

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._location, self._params = location, params
        self._known: SyncCache | None = None
        # The tag that ``clear()`` of this alias removes; without a KEY_PREFIX it clears the whole cache.
        self._tags = (f"KEY_PREFIX {any_key(self.key_prefix, MAX_PREFIX)}",) if self.key_prefix else ()

    @property
    def fleetcache(self) -> SyncCache:
        """The cache behind this backend; see ``cache_of``.

        Raises:
            ConfigError: LOCATION or an option is wrong; the text names it, its value and the choices.
        """
        known = self._known
        if known is None or known.closed:
            known = self._known = shared(self._location, self._params.get("OPTIONS") or {})
            if "TIMEOUT" not in self._params and "timeout" not in self._params:
                self.default_timeout = known.settings.ttl
        return known

    # -- Django's arguments ------------------------------------------------------------------------------------------

    def _name(self, key: Any, version: int | None) -> str:
        made: Any = self.make_and_validate_key(key, version=version)
        # A result of KEY_FUNCTION that is not text is passed on, so that the core's error names the fault.
        return any_key(made) if isinstance(made, str) else made

    def _names(self, keys: Iterable[Any], version: int | None) -> dict[str, Any]:
        return {self._name(key, version): key for key in keys}

    def _ttl(self, timeout: Any) -> Any:
        """Return the life in seconds; 0: do not store. Read ``fleetcache`` first, because it may set the default."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None:
            return MAX_TTL
        if isinstance(timeout, int | float):
            return max(MIN_TTL, min(timeout, MAX_TTL)) if timeout > 0 else 0
        return timeout

    def _offline_ttl(self, key: Any) -> float | None:
        """Return how long this process answers for a key without the server; ``None``: as in the settings."""
        if not (isinstance(key, str) and key.startswith(SESSIONS)):
            return None
        chosen = self.fleetcache.settings.offline_ttl
        return max(chosen, SESSIONS_OFFLINE) if chosen else None  # the user's 0 means "never" and is kept

    def _offline_ttl_of(self, keys: Iterable[Any]) -> float | None:
        """Return the same for several keys: the value for sessions only if all keys are sessions."""
        found = [self._offline_ttl(key) for key in keys]
        return found[0] if found and all(found) else None

    def _is_late(self) -> bool:
        """Return True if the server has not answered yet but is not known to be away, so its answer is unknown."""
        cache = self.fleetcache
        return not cache.tried or cache.stats().link == "suspect"

    def _absent(self, key: Any) -> NoReturn:
        raise ValueError(f"Key {key!r} not found") from None

    # -- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or ``default``."""
        name, cache = self._name(key, version), self.fleetcache
        value = cache.peek(name, MISSING)  # an entry of the near cache is decoded without any lock
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
        """Return the values that exist, by key, in one round trip."""
        names = self._names(keys, version)
        return {names[name]: value for name, value in self.fleetcache.get_many(names).items()}

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """As ``get_many``."""
        names = self._names(keys, version)
        return {names[name]: value for name, value in (await self.fleetcache.aio.get_many(names)).items()}

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return True if the key has a value."""
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
        """Store many values in one round trip. Return the failed keys: all, or none.

        All, if the server did not acknowledge every write. Then only this process has the values, for a while, and the
        server removes the older ones when it is back.
        """
        values = {self._name(key, version): value for key, value in data.items()}
        cache = self.fleetcache
        if not (ttl := self._ttl(timeout)):
            cache.delete_many(values)
            return []
        with pickling(), reported(data) as failed:
            cache.set_many(values, **self._stored(ttl, data))
        return failed

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """As ``set_many``."""
        values = {self._name(key, version): await _evaluated(value) for key, value in data.items()}
        cache = self.fleetcache.aio
        if not (ttl := self._ttl(timeout)):
            await cache.delete_many(values)
            return []
        with pickling(), reported(data) as failed:
            await cache.set_many(values, **self._stored(ttl, data))
        return failed

    def _stored(self, ttl: Any, keys: Iterable[Any]) -> dict[str, Any]:
        """Return how values are stored; ``strict``, so that failed keys can be reported."""
        life = {"ttl": ttl, "offline_ttl": self._offline_ttl_of(keys)}
        return {**life, "tags": self._tags, "strict": True, "exact": True}

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store the value if the key has none; return True if it was stored.

        While the server is late, wait for it, at most one operation timeout, and try once more: Django's sessions
        retry without end as long as they get ``False``.
        """
        name, cache = self._name(key, version), self.fleetcache
        if not (ttl := self._ttl(timeout)):
            return cache.get(name, MISSING) is MISSING
        options: dict[str, Any] = {"ttl": ttl, "tags": self._tags, "offline_ttl": self._offline_ttl(key)}
        with pickling():
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
        with pickling():
            value = await _evaluated(value)
            added = await cache.add(name, value, **options)
            if added or not self._is_late():
                return added
            until = time.monotonic() + self.fleetcache.settings.operation_timeout
            while self._is_late() and time.monotonic() < until:  # noqa: ASYNC110 - this loop gets no event for it
                await asyncio.sleep(LOOK_EVERY)
            return await cache.add(name, value, **options)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Set a new life for the entry; return True if the key had a value."""
        name, cache = self._name(key, version), self.fleetcache
        return cache.touch(name, ttl) if (ttl := self._ttl(timeout)) else cache.delete(name)

    async def atouch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """As ``touch``."""
        name, cache = self._name(key, version), self.fleetcache.aio
        return await (cache.touch(name, ttl) if (ttl := self._ttl(timeout)) else cache.delete(name))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to an existing counter; return its new value.

        Raises:
            ValueError: The counter does not exist; ``NotCounted`` when the server cannot be asked.
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
        """Return the value; without one, ``default`` or its result if callable, called once in the whole fleet."""
        cache, ttl = self.fleetcache, self._ttl(timeout)
        if not ttl or _on_a_loop():  # blocking a loop until a load ends would deadlock if a task of that loop loads
            return super().get_or_set(key, default, timeout, version)
        load: Callable[[], Any] = default if callable(default) else lambda: default
        return cache.get_or_set(self._name(key, version), load, ttl=ttl, tags=self._tags, type=Any, exact=True)

    async def aget_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """Like ``get_or_set``; ``default`` may also be an ``async def``."""

        async def load() -> Any:
            value = default() if callable(default) else default
            return await _evaluated(await value if asyncio.iscoroutine(value) else value)

        name, cache = self._name(key, version), self.fleetcache.aio
        if ttl := self._ttl(timeout):
            return await cache.get_or_set(name, load, ttl=ttl, tags=self._tags, type=Any, exact=True)
        value = await cache.get(name, MISSING)
        return await load() if value is MISSING else value

    # -- removing ----------------------------------------------------------------------------------------------------

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove the key on every instance; return True if it had a value."""
        return self.fleetcache.delete(self._name(key, version))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """As ``delete``."""
        return await self.fleetcache.aio.delete(self._name(key, version))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove many keys, in one round trip."""
        self.fleetcache.delete_many(self._names(keys, version))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """As ``delete_many``."""
        await self.fleetcache.aio.delete_many(self._names(keys, version))

    def clear(self) -> None:
        """Remove all entries stored with this KEY_PREFIX; without one, all entries under the prefix in OPTIONS."""
        cache = self.fleetcache
        cache.invalidate_tags(*self._tags) if self._tags else cache.clear()

    async def aclear(self) -> None:
        """As ``clear``."""
        cache = self.fleetcache.aio
        await (cache.invalidate_tags(*self._tags) if self._tags else cache.clear())


def cache_of(alias: str = DEFAULT_CACHE_ALIAS) -> SyncCache:
    """Return the cache behind an alias, for features without a Django API: tags, ``cached``, ``stats()``, ``aio``.

    Args:
        alias: An alias of ``CACHES``.

    Returns:
        The ``SyncCache`` that all aliases with the same settings share.

    Raises:
        ConfigError: The alias has another backend, or its settings are wrong.

    Example:
        >>> def prices_changed() -> None:
        ...     cache_of("default").invalidate_tags("prices")
    """
    backend: object = caches[alias]
    if not isinstance(backend, FleetCache):
        raise ConfigError(f"CACHES[{alias!r}] is a {type(backend).__name__}; accepted: an alias of FleetCache")
    return backend.fleetcache


@require_safe
def health(
    _request: HttpRequest, alias: str = DEFAULT_CACHE_ALIAS, detail: Literal["brief", "full"] = "brief"
) -> JsonResponse:
    """Return the health of one alias as JSON, with status 200, or 503 when unhealthy, which needs ``required``.

    Use it as ``path("healthz", health)``; pass the other arguments in the URL pattern: ``{"detail": "full"}``.

    Args:
        alias: An alias of ``CACHES``.
        detail: ``brief`` is safe for the public, ``full`` shows all fields of the report; neither shows a secret.

    Raises:
        ConfigError: An unknown ``detail``, or the alias has another backend.

    Example:
        >>> from django.urls import path
        >>> urlpatterns = [path("healthz", health), path("ops/cache", health, {"detail": "full"})]
    """
    if detail not in ("brief", "full"):
        raise ConfigError(f"health: detail = {detail!r} is unknown; accepted: brief, full")
    report = cache_of(alias).health()
    body = report.as_dict() if detail == "full" else report.brief()
    return JsonResponse(body, status=report.status.http_status, headers={"Cache-Control": "no-store"})


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _evaluated(value: Any) -> Any:
    """Return the value, a queryset with its rows: pickling it would query the database, which a task must await."""
    if isinstance(value, QuerySet):
        async for _ in value:
            pass
    return value
