"""fleetcache: one coherent cache for every instance of a Python server."""

from .cache import Cache
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
from .health import Health, Status
from .results import MISSING, Keep, NoStore
from .settings import Settings
from .stats import Stats
from .sync import SyncCache

__all__ = [
    "MISSING",
    "Cache",
    "Closed",
    "CodecError",
    "ConfigError",
    "FleetcacheError",
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
]
