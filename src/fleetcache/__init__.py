"""fleetcache: one coherent cache for every instance of a Python server."""

from typing import TYPE_CHECKING, Any

from .api.cache import Cache
from .config.settings import Settings
from .errors import (
    Closed,
    CodecError,
    ConfigError,
    FleetcacheError,
    KeyRuleError,
    LoadCycle,
    LoadTimeout,
    Unavailable,
)
from .format.registered_types import register_type
from .policy.results import MISSING, Found, Keep, NoStore
from .telemetry.health import Health, Status
from .telemetry.stats import Stats

if TYPE_CHECKING:  # with ``__getattr__`` in sight, type checkers would accept every name
    from .api.sync_cache import SyncCache
else:

    def __getattr__(name: str) -> Any:
        """Import ``SyncCache`` at its first use: its threads take a fifth of the import time, and tasks need none."""
        if name != "SyncCache":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .api.sync_cache import SyncCache  # noqa: PLC0415 - as above

        SyncCache.__module__ = __name__
        globals()[name] = SyncCache
        return SyncCache


__all__ = [
    "MISSING",
    "Cache",
    "Closed",
    "CodecError",
    "ConfigError",
    "FleetcacheError",
    "Found",
    "Health",
    "Keep",
    "KeyRuleError",
    "LoadCycle",
    "LoadTimeout",
    "NoStore",
    "Settings",
    "Stats",
    "Status",
    "SyncCache",
    "Unavailable",
    "register_type",
]

# Tracebacks, pickles and the reference show the path that users import from, wherever the code lives.
# MISSING is not a class, and its class is not exported. SyncCache gets its path when it is imported.
for _name in set(__all__) - {"MISSING", "SyncCache"}:
    globals()[_name].__module__ = __name__
del _name
