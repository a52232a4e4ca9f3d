"""The clock to move, under the name that tests know. It is public: ``fleetcache.testing``."""

from fleetcache.testing import ManualClock

__all__ = ["ManualClock"]
