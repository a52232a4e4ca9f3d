"""Everything fleetcache raises. Wrong use is loud; faults of the server never come out of a read or a plain write.

FleetcacheError
├── ConfigError      a setting or an argument of construction is wrong
├── KeyRuleError     a key, tag or key template breaks the rules
├── CodecError       a value cannot be stored so that it comes back as it was
├── LoadTimeout      a caller's ``load_timeout`` ran out; the load itself goes on for the others
├── LoadCycle        a loader waits, directly or through others, for its own key
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
    """Base of all errors of this package."""


class ConfigError(FleetcacheError, ValueError):
    """A setting is wrong. Names the variable, the value and the choices, never a password."""


class KeyRuleError(FleetcacheError, ValueError):
    """A key, a tag or a key template breaks the rules of ``fleetcache.format.keys``."""


class CodecError(FleetcacheError, TypeError):
    """A value would not come back as it went in, or stored bytes are not of the declared type."""


class LoadTimeout(FleetcacheError, TimeoutError):
    """The caller's ``load_timeout`` ran out. The flight goes on for whoever else waits for it."""


class LoadCycle(FleetcacheError, RuntimeError):
    """A loader waits for its own key, directly or through other loaders: it could never end."""


class Unavailable(FleetcacheError, ConnectionError):
    """The server did not acknowledge, and the caller asked to be told (``strict=True``, ``incr``)."""


class Closed(FleetcacheError, RuntimeError):
    """The cache was closed; open a new one."""
