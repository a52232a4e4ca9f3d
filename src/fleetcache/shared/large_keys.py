"""Keys whose value is larger than any reply may be: another instance has a larger limit, or it is not ours at all.

Rules:

1. The first look at such a key costs the connection, for what comes could be endless. Then the key is known.
2. A key that is known is asked first whether it goes on beyond that. While it does, the value is unusable: counted,
   replaced by the next load, and never read.
"""

from ..format.entry import HEAD_SIZE
from ..wire.session import Command

__all__ = ["LargeKeys"]

_READ = {b"GET": 1, b"GETRANGE": 1, b"EVALSHA": 3, b"EVAL": 3}
"""Commands that may answer with a value, and which argument is its key."""


class LargeKeys:
    """The keys, as they are on the server.

    Attributes:
        frame: Bytes of the largest reply.
        keys: What is known; read at every look, nearly always empty.
    """

    # Few keys are ever so large; one that is forgotten costs another connection.
    MAX = 1_000

    def __init__(self) -> None:
        self.frame = 1 << 40
        self.keys: dict[bytes, None] = {}

    def met(self, command: Command | None) -> None:
        """The reply to this command was too large."""
        place = _READ.get(command[0]) if command and isinstance(command[0], bytes) else None
        if command and place is not None and place < len(command):
            key = command[place]
            if isinstance(key, bytes):
                self.keys[key] = None
                if len(self.keys) > self.MAX:
                    del self.keys[next(iter(self.keys))]

    def asks(self, key: bytes) -> tuple[Command, ...]:
        """Whether it goes on beyond the limit, its head and its life. By commands that every user of ours may run."""
        return (("GETRANGE", key, self.frame, self.frame), ("GETRANGE", key, 0, HEAD_SIZE - 1), ("PTTL", key))

    def is_too_large(self, key: bytes, beyond: bytes) -> bool:
        """Whether it still is; one that is not any more is forgotten."""
        if beyond:
            return True
        self.keys.pop(key, None)
        return False
