"""Every exception that fleetcache raises. Wrong use raises at once; a read or a plain write never raises server faults.

FleetcacheError
├── ConfigError      a setting or an argument of construction is wrong
├── KeyRuleError     a key, tag or key template breaks the rules
├── CodecError       a value cannot be stored so that it comes back as it was
├── LoadTimeout      a caller's ``load_timeout`` ran out, and the load continues; or the ``load_limit`` ended the load
├── LoadCycle        a loader waits, directly or through other loaders, for its own key
├── Unavailable      only for ``strict=True`` and ``incr``: the server did not acknowledge
└── Closed           the cache was closed
"""

__all__ = [
    "Closed",
    "CodecError",
    "ConfigError",
    "FleetcacheError",
    "KeyRuleError",
    "LoadCycle",
    "LoadTimeout",
    "Unavailable",
]


class FleetcacheError(Exception):
    """Base class of all exceptions of this package.

    Example:
        >>> from fleetcache import Cache, FleetcacheError
        >>> try:
        ...     Cache("memory://", ttl="soon")
        ... except FleetcacheError as error:
        ...     print(type(error).__name__)
        ConfigError
    """


class ConfigError(FleetcacheError, ValueError):
    """A setting is wrong. The message names the variable, the value and the choices, never a password.

    Example:
        >>> from fleetcache import Cache
        >>> Cache("memory://", ttl=-1)
        Traceback (most recent call last):
        fleetcache.ConfigError: CACHE_TTL (ttl) = -1 must be more than zero; ...
    """


class KeyRuleError(FleetcacheError, ValueError):
    """A key, a tag or a key template breaks the rules: a key is a str of 1 byte to 8 KiB, a tag of 1 to 255 bytes.

    Example:
        >>> from fleetcache import SyncCache
        >>> SyncCache("memory://").get("")
        Traceback (most recent call last):
        fleetcache.KeyRuleError: a key may not be empty
    """


class CodecError(FleetcacheError, TypeError):
    """A value would not come back as the caller stored it, or stored bytes are not of the declared type.

    Example:
        >>> from fleetcache import SyncCache
        >>> SyncCache("memory://").set("k", object())
        Traceback (most recent call last):
        fleetcache.CodecError: an object cannot be stored: ...
    """


class LoadTimeout(FleetcacheError, TimeoutError):
    """A load took too long: longer than this caller's ``load_timeout``, or than its own ``load_limit``.

    After a ``load_timeout`` the load continues for the other callers that wait for it. A ``load_limit`` ends the load
    for all of them.

    Attributes:
        over_limit: Whether the ``load_limit`` ended the load.

    Example:
        >>> import asyncio
        >>> from fleetcache import Cache, LoadTimeout
        >>> async def load() -> int:
        ...     await asyncio.sleep(0.1)
        ...     return 42
        >>> async with Cache("memory://") as cache:
        ...     try:
        ...         await cache.get_or_set("answer", load, load_timeout="1ms")
        ...     except LoadTimeout:
        ...         print("too slow")
        too slow
    """

    over_limit = False


class LoadCycle(FleetcacheError, RuntimeError):
    """A loader waits for its own key, directly or through other loaders, and could never end.

    Example:
        >>> from fleetcache import LoadCycle, SyncCache
        >>> cache = SyncCache("memory://")
        >>> def load() -> int:
        ...     return cache.get_or_set("answer", load)
        >>> try:
        ...     cache.get_or_set("answer", load)
        ... except LoadCycle:
        ...     print("the loader waits for itself")
        the loader waits for itself
    """


class Unavailable(FleetcacheError, ConnectionError):
    """The server did not acknowledge, and the caller asked for an error in that case (``strict=True``, ``incr``).

    Example:
        >>> from fleetcache import SyncCache, Unavailable
        >>> cache = SyncCache("redis://127.0.0.1:1", operation_timeout="50ms")
        >>> try:
        ...     cache.delete("answer", strict=True)
        ... except Unavailable:
        ...     print("not acknowledged")
        not acknowledged
        >>> cache.close()
    """


class Closed(FleetcacheError, RuntimeError):
    """The cache was closed; open a new one.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> cache.close()
        >>> cache.get("answer")
        Traceback (most recent call last):
        fleetcache.Closed: this cache was closed: open a new one
    """
