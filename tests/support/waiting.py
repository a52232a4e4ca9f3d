"""Waiting for a condition, under the name that tests know. It is public: ``fleetcache.testing``."""

from fleetcache.testing import eventually, wait_until

__all__ = ["eventually", "wait_until"]
