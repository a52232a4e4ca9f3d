"""A dogpile.cache backend, ``"fleetcache"``: values in each process's near cache, each created once in the fleet.

dogpile keeps its rules: it decides when a value is old and which caller may create a new one. fleetcache provides the
means: values are entries, and dogpile's lock is the claim of the key (``SyncCache.claim``). Needs the extra
``dogpile``.
"""

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

try:
    from dogpile.cache import register_backend
    from dogpile.cache.api import (
        NO_VALUE,
        BackendArguments,
        BytesBackend,
        CacheMutex,
        Deserializer,
        SerializedReturnType,
        Serializer,
    )
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "fleetcache.contrib.dogpile needs dogpile.cache, which is not installed: pip install fleetcache[dogpile]",
        name=missing.name,
    ) from missing

from fleetcache import CodecError, ConfigError, Settings, SyncCache

from .safe_key import any_key

__all__ = ["FleetBackend", "Mutex"]

log = logging.getLogger("fleetcache")

# dogpile answers an old value while a new one is created, so entries must outlive dogpile's expiration_time, which it
# passes to no backend. So an entry gets the longest life possible.
TTL = timedelta(days=30)
LEASE = "10s"  # of a claim: see ``SyncCache.claim``
_ARGUMENTS = {"cache", "lease"} | set(Settings.__struct_fields__) - {"url_variable"}


class Mutex(CacheMutex):
    """The claim of one key, with dogpile's verbs. A thread may release a mutex that another thread acquired.

    The mutex is not reentrant. ``acquire()`` waits ``CACHE_LOAD_WAIT`` at most and then lets its caller create the
    value as well, as after every wait for another caller's load. The claim is released by the last release of this
    mutex.

    Args:
        cache: The cache of the claim.
        key: The key of the value.
        lease: How long other processes wait for a holder that died.

    Example:
        >>> mutex = FleetBackend({"url": "memory://"}).get_mutex("answer")
        >>> mutex.acquire(), mutex.locked()
        (True, True)
        >>> mutex.release()
    """

    def __init__(self, cache: SyncCache, key: str, lease: Any) -> None:
        self._cache, self._key, self._lease = cache, key, lease
        # One item for each acquire: a claim, or None after a wait that was too long. In a forked child the parent's
        # items stay at the bottom of the stack: a caller in the child pops only the item that it pushed on top.
        self._entered: list[Any] = []

    def __repr__(self) -> str:
        return f"<Mutex {self._key!r}>"

    def acquire(self, wait: bool = True) -> bool:  # noqa: FBT002 - dogpile's signature
        """Take the claim; return ``False`` if another caller holds it and ``wait`` is false."""
        claim = self._cache.claim(self._key, ttl=self._lease, wait=wait)
        if claim is None and not wait:
            return False
        self._entered.append(claim)
        return True

    def release(self) -> None:
        """Release the mutex.

        Raises:
            RuntimeError: The mutex was not acquired by this object.
        """
        try:
            claim = self._entered.pop()
        except IndexError:
            raise RuntimeError(f"the mutex of {self._key!r} was released without being acquired") from None
        if claim is not None:
            claim.release()

    def locked(self) -> bool:
        """Return True if any caller in the fleet holds the claim."""
        return self._cache.is_claimed(self._key)


class FleetBackend(BytesBackend):
    """The backend that ``region.configure("fleetcache", arguments={...})`` makes.

    No fault of the server raises: the region then uses the values and the locks of this process.

    Args:
        arguments: ``url`` as for ``SyncCache``; without it the environment decides (``REDIS_URL``, ``CACHE_*``). Other
            fields of ``Settings``; the default of ``ttl`` is 30 days. ``lease``, after which a creator that died is
            replaced (10 s). Or ``cache``, your own ``SyncCache``, with ``ttl`` and ``lease``. Unknown arguments are
            ignored with a warning, as dogpile's own backends ignore them.

    Attributes:
        cache: The ``SyncCache`` behind the backend: for ``clear()``, ``health()``, ``stats()``, ``close()``.

    Raises:
        ConfigError: An argument is wrong; or the region pickles, and there is no key to sign with.

    Example:
        >>> from dogpile.cache import make_region
        >>> region = make_region().configure("fleetcache", expiration_time=60, arguments={"url": "memory://"})
        >>> region.get_or_create("answer", lambda: 6 * 7)
        42
    """

    def __init__(self, arguments: BackendArguments) -> None:
        given = {name: value for name, value in arguments.items() if name in _ARGUMENTS}
        if ignored := sorted(arguments.keys() - given.keys()):
            known = ", ".join(sorted(_ARGUMENTS - {"url_variable"}))
            message = (
                f"fleetcache: unknown arguments of the region are ignored: {', '.join(ignored)}; known are {known}"
            )
            warnings.warn(message, stacklevel=3)
        self._lease = _lease(given.pop("lease", LEASE))
        self._ttl = Settings(ttl=given.setdefault("ttl", TTL)).ttl
        self.cache = _cache(given)
        self._complained = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.cache!r}>"

    # -- read by dogpile where the region brings no serializer of its own ----------------------------------------------

    @property
    def serializer(self) -> Serializer:  # type: ignore[override] # an attribute there; here reading it checks the keys
        """Pickle, as in all of dogpile's backends; only signed values are unpickled."""
        self._check_signed()
        pickled: Serializer = BytesBackend.serializer  # type: ignore[assignment] # dogpile's own is never None
        return pickled

    @property
    def deserializer(self) -> Deserializer:  # type: ignore[override] # as above
        """The reverse of ``serializer``."""
        self._check_signed()
        unpickled: Deserializer = BytesBackend.deserializer  # type: ignore[assignment] # as above
        return unpickled

    def _check_signed(self) -> None:
        settings = self.cache.settings
        if settings.has_server and not settings.signing_keys:
            raise ConfigError(
                "dogpile pickles values unless told otherwise, and pickles from a server are read only if they are "
                "signed: signing_keys is missing; accepted: signing_keys (CACHE_SIGNING_KEY) with 32 bytes or more, or "
                "a region with make_region(serializer=..., deserializer=...)"
            )

    # -- the lock ----------------------------------------------------------------------------------------------------

    def get_mutex(self, key: str) -> CacheMutex:
        """Return the mutex of a key: its holder may create the value."""
        return Mutex(self.cache, any_key(key), self._lease)

    # -- values ------------------------------------------------------------------------------------------------------

    def get_serialized(self, key: str) -> SerializedReturnType:
        """Return the bytes under a key, from the near cache or from the server."""
        return self.cache.get(any_key(key), NO_VALUE, type=bytes)

    def get_serialized_multi(self, keys: Iterable[str]) -> Sequence[SerializedReturnType]:
        """Return the bytes of many keys, in one round trip."""
        names = [any_key(key) for key in keys]
        found = self.cache.get_many(names, type=bytes)
        return [found.get(name, NO_VALUE) for name in names]

    def set_serialized(self, key: str, value: bytes) -> None:
        """Store the bytes. Bytes that are too large are not stored; the region still answers with the value."""
        self.set_serialized_multi({key: value})

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        """Store many values, in one write."""
        values = {any_key(key): value for key, value in mapping.items()}
        try:
            self.cache.set_many(values, ttl=self._ttl, type=bytes, exact=True)
        except CodecError as error:
            if self.cache.settings.strict:
                raise
            self._complain(error)
            for name, value in values.items():
                self._set_if_it_fits(name, value)

    def _set_if_it_fits(self, name: str, value: bytes) -> None:
        try:
            self.cache.set(name, value, ttl=self._ttl, type=bytes)
        except CodecError:
            self.cache.delete(name)  # a stored value is outdated

    def _complain(self, error: CodecError) -> None:
        if not self._complained:
            self._complained = True
            extra = {
                "event": "uncached",
                "reason": None,
                "driver": self.cache.settings.resolved_driver,
                "seconds": None,
            }
            log.error("uncached: a value of a dogpile region (%s); it is answered but not kept", error, extra=extra)

    def delete(self, key: str) -> None:
        """Remove the value, on every instance."""
        self.cache.delete(any_key(key))

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Remove many values, in one write."""
        self.cache.delete_many(map(any_key, keys))


def _lease(lease: Any) -> Any:
    """Return the lease, checked on a null cache, so that a wrong lease raises now and not at the first miss."""
    try:
        SyncCache("null://").claim("lease", ttl=lease, wait=False)
    except ConfigError as error:
        raise ConfigError(f"the argument lease: {error}") from None
    return lease


def _cache(given: dict[str, Any]) -> SyncCache:
    cache = given.pop("cache", None)
    if cache is None:
        url = given.pop("url", None)
        return SyncCache.from_env(**given) if url is None else SyncCache(url, **given)
    if not isinstance(cache, SyncCache):
        raise ConfigError(f"the argument cache = a value of type {type(cache).__name__}; accepted: a SyncCache")
    if beside := sorted(given.keys() - {"ttl"}):
        raise ConfigError(f"the argument cache is a ready SyncCache: pass {', '.join(beside)} where it is made")
    return cache


# The entry point of the installed package registers the same; this call is for code that imports the module.
register_backend("fleetcache", __name__, FleetBackend.__name__)  # type: ignore[no-untyped-call] # dogpile has no types there
