"""The manual clock of ``fleetcache.testing``, under the name that tests know."""

from fleetcache.testing import ManualClock

__all__ = ["ManualClock"]
