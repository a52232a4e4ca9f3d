"""The journal: removals the server has not acknowledged, kept until it has.

Every ``delete``, ``set``, tag invalidation and ``clear`` takes a number when it is sent. If it ends without a success
reply its target is *owed*: it will be removed again, in the next handshake before anything is read, or on the live
connection. Only a success reply to that intent or a newer one clears it. While a target is owed, nothing of it is read
from the server, joined or filled.
"""

__all__ = ["ALL", "Journal", "Target"]

Target = tuple[str, str]
"""``("e", key)`` or ``("t", tag)``."""

ALL: Target = ("t", "*")


class Journal:
    """Numbered intents, the newest per target, bounded.

    Args:
        most: Targets kept. Beyond it everything is owed (the tag on every entry): cold, but right.
    """

    # About a megabyte of keys: more removals than that in one outage make a cold start the cheaper way.
    MOST = 10_000

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._number = 0
        self.owed: dict[Target, int] = {}  # read by every call: nearly always empty

    def __len__(self) -> int:
        return len(self.owed)

    def next(self) -> int:
        """The number of an intent that is being sent."""
        self._number += 1
        return self._number

    def owe(self, target: Target, number: int) -> bool:
        """The intent ended without success; whether it is the newest for its target."""
        if self.covers_all and target != ALL:
            # Removing the tag on every entry removes this one too, but only if that is done after this intent.
            target = ALL
        self.owed[target] = max(number, self.owed.get(target, 0))
        newest = self.owed[target] == number
        if len(self.owed) > self._most:
            self.owed = {ALL: self._number}
        return newest

    def acknowledged(self, target: Target, number: int) -> None:
        """The server said yes to intent ``number``, early or late."""
        if self.owed.get(target, number + 1) <= number:
            del self.owed[target]

    @property
    def covers_all(self) -> bool:
        """Whether everything is owed."""
        return ALL in self.owed

    def owes_key(self, key: str) -> bool:
        """Whether the entry may not be read."""
        return bool(self.owed) and (("e", key) in self.owed or ALL in self.owed)

    def owes_tag(self, tag: str) -> bool:
        """Whether the tag's version may not be believed."""
        return bool(self.owed) and (("t", tag) in self.owed or ALL in self.owed)

    def is_newest(self, target: Target, tags: tuple[str, ...], number: int) -> bool:
        """Whether nothing was removed after intent ``number``: neither its target nor a tag of it."""
        return self.owed.get(target) == number and not any(self.owed.get(("t", tag), 0) > number for tag in tags)

    def pending(self) -> list[tuple[Target, int]]:
        """What is to be removed again, oldest first, with the number that a success clears."""
        return list(self.owed.items())
