"""The fault proxy of ``fleetcache.testing``, under the name that tests know."""

from fleetcache.testing import Proxy
from fleetcache.testing.proxy import Direction

__all__ = ["Direction", "Proxy"]
