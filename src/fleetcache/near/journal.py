"""The journal: removals that the server has not acknowledged, kept until it does.

Every ``delete``, ``set``, tag invalidation and ``clear`` takes a number when it is sent. If it ends without a success
reply, its target is *pending*: it is removed again, in the next handshake before anything is read, or on the live
connection. Only a success reply to that intent or a newer one clears it. While a target is pending, this process reads
no entry of it from the server, joins no load of it, and fills the near cache with none.

Where one pending target replaces many (the tag on every entry), the numbers of the many are gone. So the pending
targets cannot show which write of a key is the newest: each write under way is recorded separately until it has ended.
"""

from collections.abc import Callable

from ..format.keys import ALL, Target

__all__ = ["Journal"]


class Journal:
    """Numbered intents, the newest per target, bounded.

    Args:
        on_overflow: Called each time more targets are pending than are kept, so that the removal of everything becomes
            pending.
        most: Targets kept. Beyond it the tag on every entry is pending: a cold cache, but a correct one.
    """

    # About a megabyte of keys: after more removals than that in one outage, a cold start is cheaper.
    MAX = 10_000

    def __init__(self, on_overflow: Callable[[], None] = lambda: None, *, most: int = MAX) -> None:
        self._on_overflow, self._most = on_overflow, most
        self._number = 0
        self._writes: dict[str, tuple[int, tuple[str, ...]]] = {}  # the newest write under way of each key
        self.pending: dict[Target, int] = {}  # read by every call; usually empty

    def __len__(self) -> int:
        return len(self.pending)

    def next(self) -> int:
        """Return the number of an intent that is being sent."""
        self._number += 1
        return self._number

    def begin_removal(self, target: Target) -> int:
        """Return the number of a removal that is being sent; it overtakes the writes under way to its target."""
        kind, name = target
        if kind == "e":
            self._writes.pop(name, None)
        elif self._writes:
            for key in [key for key, (_, tags) in self._writes.items() if name in tags]:
                del self._writes[key]
        return self.next()

    def writing(self, key: str, tags: tuple[str, ...]) -> int:
        """Return the number of a write that is being sent; the caller ends it with ``wrote``."""
        number = self.next()
        self._writes[key] = (number, tags)
        return number

    def wrote(self, key: str, number: int) -> bool:
        """End a write; return whether this process has neither written its key nor removed the key or a tag since."""
        newest = self._writes.get(key, (0, ()))[0] == number
        if newest:
            del self._writes[key]
        return newest

    def defer(self, target: Target, number: int) -> bool:
        """Keep the target of an intent pending that ended without success; return whether the intent is its newest."""
        if self.covers_all and target != ALL:
            # Removing the tag on every entry removes this target too, but only if that is done after this intent.
            target = ALL
        self.pending[target] = max(number, self.pending.get(target, 0))
        newest = self.pending[target] == number
        if len(self.pending) > self._most:
            self.pending = {ALL: self._number}
            self._on_overflow()
        return newest

    def acknowledged(self, target: Target, number: int) -> None:
        """Clear the target: the server acknowledged intent ``number``, early or late."""
        if self.pending.get(target, number + 1) <= number:
            del self.pending[target]

    @property
    def covers_all(self) -> bool:
        """Whether the removal of everything is pending."""
        return ALL in self.pending

    def has_pending_key(self, key: str) -> bool:
        """Return whether the removal of this entry is pending, so that the entry may not be read."""
        return bool(self.pending) and (("e", key) in self.pending or ALL in self.pending)

    def has_pending_tag(self, tag: str) -> bool:
        """Return whether the removal of this tag is pending, so that its version may not be trusted."""
        return bool(self.pending) and (("t", tag) in self.pending or ALL in self.pending)

    def in_order(self) -> list[tuple[Target, int]]:
        """Return the pending targets, oldest first, each with the number that a success reply clears."""
        return list(self.pending.items())
