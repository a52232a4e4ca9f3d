"""Generations: many near entries end at the same moment, without a look at any of them.

Each entry belongs to a generation, an object that it shares with many others. A removal of many entries closes the
generations that may hold one of them. The rules:

1. A generation says until when its entries may answer. A hit compares that time with the clock and asks nothing else.
2. The link writes each horizon into the present generations of confirmed entries. No horizon bounds unconfirmed ones.
3. A removal notes its tag with the number of the newest generation, closes the present generations that may hold such
   entries, and opens new ones with the next number. From then on no hit is answered from a closed one.
4. An entry of a closed generation is dead if one of its tags was removed under the number of its generation or a higher
   one. Otherwise it lives: the first reader to find this out moves it to the present generation.
5. Readers take no lock. They look up the present generation first and the removals afterwards: if a tag is removed in
   between, the entry moves to a generation that this removal closes.
6. The number of a removed tag is kept until its dead entries are buried. The store ends an entry's times before that,
   and a reader compares them last: a reader that still has the entry finds it expired.
"""

from typing import TYPE_CHECKING, Final, Protocol

__all__ = ["CLOSED", "EVERYTHING", "UNBORN", "UNCONFIRMED", "Generation", "Generations"]

# The tag that every entry carries.
EVERYTHING = "*"

# Stands for a tag of all unconfirmed entries. No caller's tag is empty.
UNCONFIRMED = ""

# The time until which entries of a closed generation may answer.
CLOSED: Final = -float("inf")


class Generation:
    """What entries of one kind and one time have in common.

    Attributes:
        number: Later generations have higher numbers.
        until: Clock seconds until which its entries may answer, each within its own lifetime.
    """

    __slots__ = ("number", "until")

    def __init__(self, number: int, until: float) -> None:
        self.number = number
        self.until = until

    def __repr__(self) -> str:
        return f"<Generation {self.number} until={self.until}>"


# The generation of an entry that is not in the near cache yet.
UNBORN: Final = Generation(-1, CLOSED)


if TYPE_CHECKING:  # a protocol costs a process more to define than the rest of this file

    class Member(Protocol):
        """An entry, as far as its generation is concerned."""

        generation: Generation

        @property
        def tags(self) -> tuple[str, ...]: ...
        @property
        def unconfirmed(self) -> bool: ...


# The kinds of entries, each with a present generation: confirmed without a tag of its own, confirmed with tags,
# and the same two for unconfirmed entries. A removal closes the generations of some kinds only.
_KINDS = range(4)
_TAGGED, _OF_UNCONFIRMED = (1, 3), (2, 3)


def _kind(held: "Member") -> int:
    return 2 * held.unconfirmed + (len(held.tags) > 1)


class Generations:
    """The present generations, and the removals whose dead entries are not buried yet."""

    def __init__(self) -> None:
        self._horizon = float("inf")
        self._number = 0
        self._removed: dict[str, int] = {}  # tag -> number of the newest generation that its removal closed
        self.cleared = UNBORN.number  # entries of generations up to this number are dead, whatever their tags
        self._present = [Generation(0, float("inf")) for _ in _KINDS]

    def vouch(self, horizon: float) -> None:
        """Let confirmed entries answer until this time: the server vouches for them."""
        self._horizon = horizon
        confirmed, tagged, _, _ = self._present
        confirmed.until = tagged.until = horizon

    def present(self, held: "Member") -> Generation:
        """Return the generation that an entry joins now."""
        return self._present[2 * held.unconfirmed + (len(held.tags) > 1)]  # ``_kind``, at each put

    def lives(self, held: "Member") -> bool:
        """Return whether no removal named the entry, which then joins the present generation. Any thread may ask."""
        present = self._present[_kind(held)]  # before the removals: rule 5
        number = held.generation.number
        if number <= self.cleared:
            return False
        removed = self._removed
        if removed:
            if held.unconfirmed and removed.get(UNCONFIRMED, -1) >= number:
                return False
            for tag in held.tags:
                if removed.get(tag, -1) >= number:
                    return False
        held.generation = present
        return True

    def end_tag(self, tag: str) -> int:
        """End all entries with the tag; return the number to call ``buried`` with."""
        number = self._removed[tag] = self._number
        self._close(_OF_UNCONFIRMED if tag == UNCONFIRMED else _TAGGED)
        return number

    def end_all(self) -> None:
        """End all entries."""
        self.cleared = self._number
        self._close(_KINDS)
        self._removed.clear()

    def buried(self, tag: str, number: int) -> None:
        """Forget a removed tag: none of its dead entries is left, unless it was removed again."""
        if self._removed.get(tag) == number:
            del self._removed[tag]

    def _close(self, kinds: "tuple[int, ...] | range") -> None:
        self._number += 1
        present = list(self._present)
        for kind in kinds:
            present[kind].until = CLOSED
            present[kind] = Generation(self._number, float("inf") if kind in _OF_UNCONFIRMED else self._horizon)
        self._present = present
