"""Tools for tests of your own app: a fresh cache per test, a manual clock, a real server, and switches for faults.

docs/testing.md shows their use. With pytest, most of the tools are fixtures.
"""

from .clock import ManualClock
from .override import memory_cache, override
from .proxy import Fault, Proxy
from .server import Server
from .waiting import eventually, wait_until

__all__ = ["Fault", "ManualClock", "Proxy", "Server", "eventually", "memory_cache", "override", "wait_until"]
