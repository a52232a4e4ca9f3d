"""A cachelib backend: for Flask-Caching, Flask-Session and all other users of a ``cachelib.base.BaseCache``.

The backend keeps cachelib's contract over its own ``SyncCache``: values are signed pickles in a separate key
space. Needs the extra ``cachelib``.
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

# cachelib's "never expires", in seconds: the longest life of an entry, 30 days.
MAX_TTL = int(timedelta(days=30).total_seconds())
# Makes the derived bytes differ from every other use of an app's secret. BLAKE2b takes 16 bytes at most.
_PURPOSE = b"fleetcache.pickl"


def pickling(base: Settings, key_prefix: str, secret_key: Secret | Sequence[Secret] | None) -> dict[str, Any]:
    """Return the additional settings that a cache needs to hold the pickles of one user of cachelib.

    Args:
        base: The cache's other settings.
        key_prefix: Appended to the prefix in ``base``, so that keys and ``clear()`` do not affect those of other users.
        secret_key: The app's secret keys, newest first. Not needed if ``base`` has signing keys.

    Returns:
        Fields of ``Settings``.

    Raises:
        ConfigError: There is no key to sign with.

    Example:
        >>> base = Settings(driver="memory", prefix="shop")
        >>> found = pickling(base, "sessions", "from your vault")
        >>> found["codec"], found["prefix"]
        ('pickle', 'shop:sessions')
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
    """A ``SyncCache`` with the interface of cachelib.

    No fault of the server raises: ``get`` answers from memory or ``None``; ``set``, ``add``, ``clear`` return
    ``False``, ``inc`` and ``dec`` ``None``. Keys that could not be removed or replaced on the server are removed there
    when it is back.

    Args:
        server: A URL as for ``SyncCache``; with ``None`` the environment decides (``CACHE_DRIVER``, ``REDIS_URL``,
            ...). A ``SyncCache`` is used unchanged; with a codec other than pickle it takes the values of that codec.
        default_timeout: Seconds, or a ``timedelta``, for calls without a timeout. In every method, 0 and more than 30
            days mean 30 days, the longest life of an entry; negative means already expired.
        key_prefix: Appended to the prefix of the settings. Backends with the same key prefix share entries and
            ``clear()``.
        ignore_delete_many_errors: Accepted because cachelib has it, without effect: for its caller a removal never
            fails.
        secret_key: Signs the pickles; several to rotate, newest first. ``CACHE_SIGNING_KEY`` takes precedence.
        near: Whether this process's memory may answer while the server can be asked. ``False`` is for sessions: a
            request writes back the session that it has read, which must not be older than another process's write.
        **settings: Fields of ``Settings``.

    Attributes:
        cache: The ``SyncCache`` behind the backend: for ``health()``, ``stats()``, ``close()``.

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
                raise ConfigError(f"a ready SyncCache has its settings: pass {names} where it is made")
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
        """Return the value, or ``None``."""
        found = self._look(_name(key))
        return None if found is MISSING else found

    def has(self, key: str) -> bool:
        """Return True if the key has a value; a stored ``None`` counts."""
        return self._look(_name(key)) is not MISSING

    def _look(self, name: str) -> Any:
        if self.near:
            return self.cache.get(name, MISSING)
        return self.cache.get_many((name,), near=False).get(name, MISSING)

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value; return ``False`` when the server did not acknowledge.

        After ``False``, only this process has the value, for a while.

        Raises:
            PicklingError: The value cannot be pickled, or is larger than ``CACHE_MAX_VALUE_BYTES``.
        """
        return bool(self.set_many({key: value}, timeout))

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value if the key has none; errors as for ``set``."""
        ttl = self._ttl(timeout)
        if ttl is None:
            return not self.has(key)
        try:
            return self.cache.add(_name(key), value, ttl=ttl)
        except CodecError as error:
            raise PicklingError(str(error)) from error

    def delete(self, key: str) -> bool:
        """Remove a key; return True if it is known to have had a value."""
        return self.cache.delete(_name(key))

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Add to a counter, which begins at 0; return ``None`` when the server did not acknowledge.

        Raises:
            CodecError: The stored value is not an integer.
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
        """Return the values in the order of the keys, ``None`` for a key without a value."""
        found = self.cache.get_many(map(_name, keys), near=self.near)
        return [found.get(_name(key)) for key in keys]

    def set_many(self, mapping: dict[str, Any], timeout: int | timedelta | None = None) -> list[Any]:
        """Store many values; return all keys if the server acknowledged every value, else an empty list.

        Errors as for ``set``; then no value is stored.
        """
        ttl = self._ttl(timeout)
        if ttl is None:
            return self.delete_many(*mapping)
        values = {_name(key): value for key, value in mapping.items()}
        if self._is_away():
            # Flask-Session stores each session with each request. Keys stored during an outage are removed when the
            # server is back, because other processes may hold older values. So an unchanged session is not stored.
            values = {name: value for name, value in values.items() if not self._holds(name, value)}
        try:
            self.cache.set_many(values, ttl=ttl, strict=True, exact=True)
        except CodecError as error:
            raise PicklingError(str(error)) from error
        except Unavailable:
            return []
        return [] if len(values) < len(mapping) else list(mapping)

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove many keys; return all of them, because none has a value for this process any more."""
        self.cache.delete_many(map(_name, keys))
        return list(keys)

    def clear(self) -> bool:
        """Remove all entries with this ``key_prefix``; return ``False`` when the server did not acknowledge it yet."""
        try:
            self.cache.clear(strict=True)
        except Unavailable:
            return False
        return True

    def _is_away(self) -> bool:
        now = self.cache.status_now()
        return now.active != now.driver

    def _holds(self, name: str, value: Any) -> bool:
        """Return True if memory has exactly this value."""
        with suppress(Exception):  # a class may raise any error when pickled; storing it raises the error anyway
            return dumps(self.cache.get(name, MISSING)) == dumps(value)
        return False

    def _ttl(self, timeout: int | timedelta | None) -> float | None:
        """Return the life of an entry in seconds; ``None``: do not store it."""
        seconds = self._normalize_timeout(timeout)  # type: ignore[arg-type,unused-ignore] # as above
        return None if seconds < 0 else min(seconds or MAX_TTL, MAX_TTL)


def _name(key: Any) -> str:
    """Return the key as safe text: any type, as in cachelib's other backends, and untrusted session ids and paths."""
    return any_key(f"{key}")
