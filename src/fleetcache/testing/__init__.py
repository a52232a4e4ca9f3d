"""For tests of your own app: a fresh cache per test, a clock to move, a real server, and switches for faults.

docs/testing.md shows how. With pytest most of it comes by itself, as fixtures.
"""

from .clock import ManualClock
from .faults import Fault
from .override import memory_cache, override
from .proxy import Proxy
from .server import Server
from .waiting import eventually, wait_until

__all__ = ["Fault", "ManualClock", "Proxy", "Server", "eventually", "memory_cache", "override", "wait_until"]
