"""Every exception that fleetcache raises. Wrong use raises at once; a read or a plain write never raises server faults.

FleetcacheError
├── ConfigError      a setting or an argument of construction is wrong
├── KeyRuleError     a key, tag or key template breaks the rules
├── CodecError       a value cannot be stored so that it comes back as it was
├── LoadTimeout      a caller's ``load_timeout`` ran out; the load itself goes on for the other callers
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
    """Base class of all exceptions of this package."""


class ConfigError(FleetcacheError, ValueError):
    """A setting is wrong. The message names the variable, the value and the choices, never a password."""


class KeyRuleError(FleetcacheError, ValueError):
    """A key, a tag or a key template breaks the rules of ``fleetcache.format.keys``."""


class CodecError(FleetcacheError, TypeError):
    """A value would not come back as the caller stored it, or stored bytes are not of the declared type."""


class LoadTimeout(FleetcacheError, TimeoutError):
    """The caller's ``load_timeout`` ran out. The flight goes on for the other callers that wait for it."""


class LoadCycle(FleetcacheError, RuntimeError):
    """A loader waits for its own key, directly or through other loaders, and could never end."""


class Unavailable(FleetcacheError, ConnectionError):
    """The server did not acknowledge, and the caller asked for an error in that case (``strict=True``, ``incr``)."""


class Closed(FleetcacheError, RuntimeError):
    """The cache was closed; open a new one."""
