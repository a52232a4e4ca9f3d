"""Keys whose value is larger than the largest reply: another instance has a larger limit, or the value is foreign.

Rules:

1. The first read of such a key costs the connection, because the reply could be endless. From then on the key is known.
2. Before a known key is read, the server is asked whether its value still exceeds the limit. While the value does, it
   is unusable: counted, replaced by the next load, and never read.
"""

from ..format.entry import HEAD_SIZE
from ..wire.session import Command

__all__ = ["LargeKeys"]

_READ = {b"GET": 1, b"GETRANGE": 1, b"EVALSHA": 3, b"EVAL": 3}
"""Commands that may answer with a value, and the position of the key among their arguments."""


class LargeKeys:
    """The known large keys, by their names on the server.

    Attributes:
        frame: Bytes of the largest reply.
        keys: The known large keys; checked at every read, usually empty.
    """

    # Few keys are ever so large; a forgotten key costs another connection.
    MAX = 1_000

    def __init__(self) -> None:
        self.frame = 1 << 40
        self.keys: dict[bytes, None] = {}

    def met(self, command: Command | None) -> None:
        """Remember the key of a command whose reply was too large."""
        place = _READ.get(command[0]) if command and isinstance(command[0], bytes) else None
        if command and place is not None and place < len(command):
            key = command[place]
            if isinstance(key, bytes):
                self.keys[key] = None
                if len(self.keys) > self.MAX:
                    del self.keys[next(iter(self.keys))]

    def asks(self, key: bytes) -> tuple[Command, ...]:
        """Return commands that read the byte beyond the limit, the head and the life.

        The cache's user may run them under the narrowest documented ACL.
        """
        return (("GETRANGE", key, self.frame, self.frame), ("GETRANGE", key, 0, HEAD_SIZE - 1), ("PTTL", key))

    def is_too_large(self, key: bytes, beyond: bytes) -> bool:
        """Return True if the value is still too large; otherwise forget the key."""
        if beyond:
            return True
        self.keys.pop(key, None)
        return False
