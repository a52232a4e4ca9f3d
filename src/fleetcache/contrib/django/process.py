"""The caches of this process: one for all aliases that say the same LOCATION and OPTIONS, made at its first use."""

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
# What was said, and the cache made of it. Appended to and read without a lock, which a fork could leave taken.
_made: list[tuple[_Said, SyncCache]] = []


def shared(location: Any, options: Mapping[str, Any]) -> SyncCache:
    """The one cache of all who say this. Nothing connects before it is used.

    Raises:
        ConfigError: LOCATION or an option is wrong; names it, its value and the choices.
    """
    said = _said(location, options)
    found = _find(said)
    if found is not None:
        return found
    cache = SyncCache(location, **said[1]) if location else SyncCache.from_env(**said[1])
    cache.around_refresh(_fresh_connections)
    _made.append((said, cache))
    return _find(said) or cache  # of two threads that came here at once both take the first


def _find(said: _Said) -> SyncCache | None:
    return next((cache for told, cache in list(_made) if told == said and not cache.closed), None)


def _said(location: Any, options: Mapping[str, Any]) -> _Said:
    """LOCATION, and OPTIONS with what we add: pickles, signed."""
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
    """Made for this alone: what is signed here is worth nothing elsewhere."""
    return salted_hmac("fleetcache.contrib.django", "entries", secret=secret, algorithm="sha256").digest()


@contextmanager
def _fresh_connections() -> Iterator[None]:
    """Around a refresh in the background, as around a request."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def _close_what_nobody_says(*, setting: str, enter: bool, **_: object) -> None:
    """Caches of a test's ``override_settings`` end with it."""
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
        except (ConfigError, ImproperlyConfigured):  # another backend's, or nobody could have used it
            continue


setting_changed.connect(_close_what_nobody_says)
