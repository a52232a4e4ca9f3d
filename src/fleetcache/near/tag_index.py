"""The index of the near cache: for each tag, the keys of the entries that carry it.

The rules:

1. A line, the keys of a tag, goes with its last key. It is a dict, because that keeps the order in which entries came:
   to free many in the order of their memory takes half as long as in the order of their hashes.
2. Unconfirmed entries have a line of their own, if a link could confirm them: all of them go when it is back.
"""

import sys
from collections.abc import Iterable

from .generations import UNCONFIRMED

__all__ = ["MEMBER_BYTES", "TAG_BYTES", "TagIndex"]

# Bytes of a tag other than ``*``, charged once, beyond its text: its line and the slot of that in the index.
TAG_BYTES = 272

# Bytes of such a tag for each entry that carries it, beyond its text: its part of the entry's tuple, and the key's slot
# in the tag's line.
MEMBER_BYTES = 112


class TagIndex:
    """The keys of each tag.

    Attributes:
        lines: The keys by tag.
        weight: Bytes of the lines, and of the slots of unconfirmed entries. The store charges an entry for its others.
    """

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, None]] = {}
        self.weight = 0

    def enter(self, key: str, tags: Iterable[str]) -> None:
        """Add a key to the lines of its tags."""
        for tag in tags:
            keys = self.lines.get(tag)
            if keys is None:
                keys = self.lines[tag] = {}
                self.weight += TAG_BYTES + sys.getsizeof(tag)
            if tag == UNCONFIRMED and key not in keys:
                self.weight += MEMBER_BYTES
            keys[key] = None

    def leave(self, key: str, tags: Iterable[str]) -> None:
        """Take a key out of the lines of its tags, where it is in them."""
        for tag in tags:
            keys = self.lines.get(tag)
            if keys is not None and key in keys:
                del keys[key]
                if tag == UNCONFIRMED:
                    self.weight -= MEMBER_BYTES
                if not keys:
                    self.take(tag)

    def take(self, tag: str) -> dict[str, None]:
        """Take a line out of the index and return it."""
        keys = self.lines.pop(tag)
        self.weight -= TAG_BYTES + sys.getsizeof(tag) + (len(keys) * MEMBER_BYTES if tag == UNCONFIRMED else 0)
        return keys
