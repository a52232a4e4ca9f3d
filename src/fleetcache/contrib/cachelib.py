"""A cachelib backend: for Flask-Caching, Flask-Session and whatever else takes a ``cachelib.base.BaseCache``.

It keeps cachelib's contract over a ``SyncCache`` of its own: values are pickles, which are signed, in a key space of
their own. Needs the extra ``cachelib``.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pickle import PicklingError, dumps
from typing import Any

try:
    from cachelib.base import BaseCache
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "fleetcache.contrib.cachelib needs cachelib, which is not installed: pip install fleetcache[cachelib]",
        name=missing.name,
    ) from missing

from fleetcache import MISSING, CodecError, ConfigError, Settings, SyncCache, Unavailable

from .safe_key import any_key

__all__ = ["FleetCache", "pickling"]

Secret = str | bytes

# What cachelib calls "never expires": the longest life that an entry may have, 30 days.
MAX_TTL = int(timedelta(days=30).total_seconds())
# So that no other use of an app's secret gives the same bytes. 16 is all that BLAKE2b takes.
_PURPOSE = b"fleetcache.pickl"


def pickling(base: Settings, key_prefix: str, secret_key: Secret | Sequence[Secret] | None) -> dict[str, Any]:
    """What a cache needs beside its settings to hold the pickles of one user of cachelib.

    Args:
        base: The settings that it has anyway.
        key_prefix: Comes after their prefix, so that nobody else's ``clear()`` and keys are met.
        secret_key: The app's; newest first. Settings with signing keys of their own do not need it.

    Returns:
        Fields of ``Settings``.

    Raises:
        ConfigError: There is no key to sign with.
    """
    secrets = [secret_key] if isinstance(secret_key, str | bytes) else list(secret_key or ())
    if not base.signing_keys and not (secrets and all(secrets)):
        accepted = "secret_key=app.config['SECRET_KEY'], or CACHE_SIGNING_KEY (signing_keys) with 32 bytes or more"
        raise ConfigError(f"pickles are signed, and secret_key is missing or empty; accepted: {accepted}")
    return {
        "codec": "pickle",
        "prefix": f"{base.prefix}:{key_prefix.strip(':')}",
        "signing_keys": base.signing_keys or tuple(map(_signing_key, secrets)),
    }


def _signing_key(secret: Secret) -> bytes:
    raw = secret.encode(errors="surrogatepass") if isinstance(secret, str) else secret
    return hashlib.blake2b(raw, digest_size=32, person=_PURPOSE).digest()


class FleetCache(BaseCache):
    """A ``SyncCache`` as cachelib would have it.

    No fault of the server raises: ``get`` answers from memory or ``None``; ``set``, ``add``, ``clear`` say ``False``,
    ``inc`` and ``dec`` ``None``. What could not be removed or replaced there is removed when the server is back.

    Args:
        server: A URL as for ``SyncCache``; ``None`` is as the environment says (``CACHE_DRIVER``, ``REDIS_URL``, ...).
            A ``SyncCache`` is used as it is; with another codec than pickle it takes what that one can hold.
        default_timeout: Seconds, or a ``timedelta``; for calls without a timeout. Everywhere, 0 is as long as an entry
            may live, 30 days; more is that, too; negative is over already.
        key_prefix: Comes after the prefix of the settings. Backends with the same one share entries and ``clear()``.
        ignore_delete_many_errors: Taken because cachelib has it. A removal cannot fail for who asked for it.
        secret_key: Signs the pickles; several to rotate, newest first. ``CACHE_SIGNING_KEY`` wins over it.
        near: Whether this process's memory may answer while the server can be asked. ``False`` is for sessions: what a
            request has read of them it writes back, and must not be older than what another process has written.
        **settings: Fields of ``Settings``.

    Attributes:
        cache: The ``SyncCache`` behind it: for ``health()``, ``stats()``, ``close()``.

    Raises:
        ConfigError: A setting is wrong, or there is no key to sign with.

    Example:
        >>> backend = FleetCache("memory://", secret_key="from your vault")
        >>> backend.set("point", {"at": (1, 2)}, timeout=60), backend.get("point")
        (True, {'at': (1, 2)})
    """

    def __init__(
        self,
        server: str | SyncCache | None = None,
        default_timeout: int | timedelta = 300,
        key_prefix: str | None = None,
        ignore_delete_many_errors: bool = True,  # noqa: FBT002 - cachelib's place for it
        *,
        secret_key: Secret | Sequence[Secret] | None = None,
        near: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(default_timeout)  # type: ignore[arg-type,unused-ignore] # a timedelta since cachelib 0.17
        self.ignore_delete_many_errors = ignore_delete_many_errors
        self.near = near
        own = key_prefix or "cachelib"
        if isinstance(server, SyncCache):
            if key_prefix or secret_key or settings:
                given = {"key_prefix": key_prefix, "secret_key": secret_key} | settings
                names = ", ".join(name for name, value in given.items() if value)
                raise ConfigError(f"a ready SyncCache has its settings: give {names} where it is made")
            self.cache = server
        elif server is None:
            settings |= pickling(Settings.from_env(**settings), own, secret_key)
            self.cache = SyncCache.from_env(**settings)
        else:
            settings |= pickling(Settings.from_url(server, **settings), own, secret_key)
            self.cache = SyncCache(server, **settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.cache!r}>"

    # -- one key -----------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """The value, or ``None``."""
        found = self._look(_name(key))
        return None if found is MISSING else found

    def has(self, key: str) -> bool:
        """Whether there is a value; a stored ``None`` is one."""
        return self._look(_name(key)) is not MISSING

    def _look(self, name: str) -> Any:
        if self.near:
            return self.cache.get(name, MISSING)
        return self.cache.get_many((name,), near=False).get(name, MISSING)

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store; ``False`` when the server did not acknowledge, and then only this process has it, for a while.

        Raises:
            PicklingError: It cannot be pickled, or is larger than ``CACHE_MAX_VALUE_BYTES``.
        """
        return bool(self.set_many({key: value}, timeout))

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store if there is nothing; errors as for ``set``."""
        ttl = self._ttl(timeout)
        if ttl is None:
            return not self.has(key)
        try:
            return self.cache.add(_name(key), value, ttl=ttl)
        except CodecError as error:
            raise PicklingError(str(error)) from error

    def delete(self, key: str) -> bool:
        """Remove; whether a value is known to have been there."""
        return self.cache.delete(_name(key))

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Add to a counter, a new one begins at 0; ``None`` when the server did not acknowledge.

        Raises:
            CodecError: What is there is no integer.
        """
        try:
            return self.cache.incr(_name(key), delta, ttl=self._ttl(None))
        except Unavailable:
            return None

    def dec(self, key: str, delta: int = 1) -> int | None:
        """Subtract from a counter; as ``inc``."""
        return self.inc(key, -delta)

    # -- many keys, each in one round trip ----------------------------------------------------------------------------

    def get_many(self, *keys: str) -> list[Any]:
        """The values in the order of the keys, ``None`` where there is none."""
        found = self.cache.get_many(map(_name, keys), near=self.near)
        return [found.get(_name(key)) for key in keys]

    def set_many(self, mapping: dict[str, Any], timeout: int | timedelta | None = None) -> list[Any]:
        """Store; the keys if the server acknowledged all, else none. Errors as for ``set``, and then none is stored."""
        ttl = self._ttl(timeout)
        if ttl is None:
            return self.delete_many(*mapping)
        values = {_name(key): value for key, value in mapping.items()}
        if self._is_away():
            # Flask-Session stores each session with each request. Those that did not change are to be there when the
            # server is back; what was stored meanwhile is removed then, for others may hold something older.
            values = {name: value for name, value in values.items() if not self._holds(name, value)}
        try:
            self.cache.set_many(values, ttl=ttl, strict=True)
        except CodecError as error:
            raise PicklingError(str(error)) from error
        except Unavailable:
            return []
        return [] if len(values) < len(mapping) else list(mapping)

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove; all of the keys, for none of them is there for this process any more."""
        self.cache.delete_many(map(_name, keys))
        return list(keys)

    def clear(self) -> bool:
        """Remove all that is under this ``key_prefix``; ``False`` when that is still owed to the server."""
        try:
            self.cache.clear(strict=True)
        except Unavailable:
            return False
        return True

    def _is_away(self) -> bool:
        now = self.cache.status_now()
        return now.active != now.driver

    def _holds(self, name: str, value: Any) -> bool:
        """Whether memory has just this value."""
        with suppress(Exception):  # whatever a class raises when it is pickled: storing it will say so
            return dumps(self.cache.get(name, MISSING)) == dumps(value)
        return False

    def _ttl(self, timeout: int | timedelta | None) -> float | None:
        """How long an entry lives; ``None``: not at all."""
        seconds = self._normalize_timeout(timeout)  # type: ignore[arg-type,unused-ignore] # as above
        return None if seconds < 0 else min(seconds or MAX_TTL, MAX_TTL)


def _name(key: Any) -> str:
    """The key as text, as cachelib's other backends take it: session ids and paths are written by strangers."""
    return any_key(f"{key}")
