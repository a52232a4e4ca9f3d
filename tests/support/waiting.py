"""The functions of ``fleetcache.testing`` that wait for a condition, under the name that tests know."""

from fleetcache.testing import eventually, wait_until

__all__ = ["eventually", "wait_until"]
