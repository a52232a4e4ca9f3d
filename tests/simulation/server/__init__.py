"""A Redis or Valkey without I/O and without its own time: bytes in, bytes out, with the replies of the real ones.

``test_server_truth.py`` checks it against real servers, by the same commands.
"""

from .client import SimClient
from .command import NotSimulated
from .keyspace import Snapshot
from .server import SimServer
from .state import Engine, State

__all__ = ["Engine", "NotSimulated", "SimClient", "SimServer", "Snapshot", "State"]
