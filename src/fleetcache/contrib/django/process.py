"""The caches of this process: one for all aliases with the same LOCATION and OPTIONS, made at its first use."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django import conf
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import close_old_connections
from django.utils.crypto import salted_hmac

from fleetcache import ConfigError, Settings, SyncCache

__all__ = ["shared"]

_OPTIONS: Final = tuple(name for name in Settings.__struct_fields__ if name not in {"url", "url_variable"})
_SECRETS: Final = frozenset({"SECRET_KEY", "SECRET_KEY_FALLBACKS"})

_Said = tuple[str, dict[str, Any]]
# Each LOCATION and OPTIONS with the cache made for them. Used without a lock, which a fork could leave locked.
_made: list[tuple[_Said, SyncCache]] = []


def shared(location: Any, options: Mapping[str, Any]) -> SyncCache:
    """Return the one cache for this LOCATION and these OPTIONS. The cache does not connect before its first use.

    Raises:
        ConfigError: LOCATION or an option is wrong; the text names it, its value and the choices.
    """
    said = _said(location, options)
    found = _find(said)
    if found is not None:
        return found
    cache = SyncCache(location, **said[1]) if location else SyncCache.from_env(**said[1])
    cache.around_refresh(_fresh_connections)
    _made.append((said, cache))
    return _find(said) or cache  # two concurrent threads both get the first cache


def _find(said: _Said) -> SyncCache | None:
    return next((cache for told, cache in list(_made) if told == said and not cache.closed), None)


def _said(location: Any, options: Mapping[str, Any]) -> _Said:
    """Return LOCATION, and OPTIONS with the defaults added: signed pickles."""
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ConfigError(f"OPTIONS: {', '.join(map(repr, unknown))} is unknown; accepted: {', '.join(_OPTIONS)}")
    if not isinstance(location, str):
        kind = type(location).__name__
        raise ConfigError(f"LOCATION is a {kind}; accepted: one URL, such as redis://localhost:6379/0, or memory://")
    variables: Mapping[str, str] = {} if location else os.environ
    chosen = dict(options)
    codec = chosen.setdefault("codec", variables.get("CACHE_CODEC", "").strip().lower() or "pickle")
    if codec == "pickle" and not chosen.get("signing_keys") and not variables.get("CACHE_SIGNING_KEY"):
        secrets = (conf.settings.SECRET_KEY, *conf.settings.SECRET_KEY_FALLBACKS)
        chosen["signing_keys"] = tuple(map(_signing_key, secrets))
    return location, chosen


def _signing_key(secret: str | bytes) -> bytes:
    """Derive a key for this purpose only, so that a signature made with it is valid nowhere else."""
    return salted_hmac("fleetcache.contrib.django", "entries", secret=secret, algorithm="sha256").digest()


@contextmanager
def _fresh_connections() -> Iterator[None]:
    """Close old database connections before and after a background refresh, as Django does for a request."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def _close_what_nobody_says(*, setting: str, enter: bool, **_: object) -> None:
    """Close the caches of a test's ``override_settings`` at its end."""
    if enter or (setting != "CACHES" and setting not in _SECRETS):
        return
    kept = list(_described())
    for made in list(_made):
        if made[0] not in kept:
            _made.remove(made)
            made[1].close()


def _described() -> Iterator[_Said]:
    for params in conf.settings.CACHES.values():
        try:
            yield _said(params.get("LOCATION", ""), params.get("OPTIONS") or {})
        except (ConfigError, ImproperlyConfigured):  # of another backend, or unusable
            continue


setting_changed.connect(_close_what_nobody_says)
