"""Checks for ``manage.py check``: wrong settings, and settings with less effect than they suggest."""

from collections.abc import Iterator
from typing import Any

from django import conf
from django.core.cache import caches
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's word
from django.core.exceptions import ImproperlyConfigured

from fleetcache import ConfigError

from .backend import MAX_TTL, FleetCache

__all__: list[str] = []

_DAY = 86_400


@register(Tags.caches)
def _usable(**_: Any) -> list[CheckMessage]:
    return [*_wrong(), *_sessions()]


@register(Tags.caches, deploy=True)
def _fit_for_production(**_: Any) -> list[CheckMessage]:
    return [message for alias, cache in _good() for message in _alone(alias, cache)]


def _ours() -> Iterator[tuple[str, FleetCache]]:
    for alias in conf.settings.CACHES:
        cache: object = caches[alias]
        if isinstance(cache, FleetCache):
            yield alias, cache


def _good() -> Iterator[tuple[str, FleetCache]]:
    return ((alias, cache) for alias, cache in _ours() if _fault(cache) is None)


def _fault(cache: FleetCache) -> str | None:
    try:
        _ = cache.fleetcache
    except (ConfigError, ImproperlyConfigured) as error:
        return str(error)
    return None


def _wrong() -> Iterator[CheckMessage]:
    for alias, cache in _ours():
        fault = _fault(cache)
        if fault is not None:
            yield Error(f"CACHES[{alias!r}]: {fault}", id="fleetcache.E001")


def _sessions() -> Iterator[CheckMessage]:
    if conf.settings.SESSION_ENGINE != "django.contrib.sessions.backends.cache":
        return  # cached_db reads a session from its table when the cache has lost it
    if conf.settings.SESSION_COOKIE_AGE > MAX_TTL and conf.settings.SESSION_CACHE_ALIAS in dict(_ours()):
        yield Warning(
            f"SESSION_COOKIE_AGE is {conf.settings.SESSION_COOKIE_AGE / _DAY:g} days, and a cache keeps sessions for "
            f"{MAX_TTL / _DAY:g} at most: users who do not visit for that long are logged out.",
            hint='Shorten it, or set SESSION_ENGINE = "django.contrib.sessions.backends.cached_db".',
            id="fleetcache.W001",
        )


def _alone(alias: str, cache: FleetCache) -> Iterator[CheckMessage]:
    chosen = cache.fleetcache.settings
    if not chosen.has_server:
        yield Warning(
            f"CACHES[{alias!r}] has the driver {chosen.resolved_driver}: every process of this site caches for itself, "
            "and does not see the changes of another.",
            hint="Give it a LOCATION, or set REDIS_URL where it runs; CACHE_DRIVER=embedded serves a single host.",
            id="fleetcache.W002",
        )
    elif chosen.default_prefix:
        yield Warning(
            f"CACHES[{alias!r}] has the default prefix {chosen.prefix!r}: it would share its keys with every other "
            "service on the same server that also keeps the default.",
            hint='Name this service: "OPTIONS": {"prefix": "shop"}.',
            id="fleetcache.W003",
        )
