"""A Redis or Valkey without I/O and without time of its own: bytes in, bytes out, as the real ones would answer.

Held to the truth by ``test_server_truth.py``, which runs the same commands against it and against real servers.
"""

from .client import SimClient
from .command import NotSimulated
from .keyspace import Snapshot
from .server import SimServer
from .state import Engine, State

__all__ = ["Engine", "NotSimulated", "SimClient", "SimServer", "Snapshot", "State"]
