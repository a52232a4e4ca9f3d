"""The fault proxy under the name that tests know. It is public: ``fleetcache.testing``."""

from fleetcache.testing import Proxy
from fleetcache.testing.proxy import Direction

__all__ = ["Direction", "Proxy"]
