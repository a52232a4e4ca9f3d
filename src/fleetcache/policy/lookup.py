"""What a look at an entry showed, and the value of one: the words in which shared answers policy."""

from enum import Enum
from typing import Any

import msgspec

from ..format.entry import NO_HEADER, Header

__all__ = ["ClaimReply", "DecodedValue", "EntryState", "Lookup"]


ENDING = 0.25
"""Seconds the first renewal of an entry that is being replaced may take: as long as an operation usually may."""


class EntryState(Enum):
    """What stands under a key."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "spent"  # past ttl + stale, still there
    INVALID = "unusable"  # another version, broken, badly signed, over size, a tag no longer current
    FOREIGN = "foreign"  # not ours at all: nothing a script could compare
    LOADING = "held"  # a placeholder: somebody loads
    ABSENT = "none"
    TAGS_UNKNOWN = "unknown tags"  # usable if its tags are current, which must be asked
    GRANTED = "granted"  # the lease is ours
    UNAVAILABLE = "fault"  # no answer, or an error reply


class DecodedValue(msgspec.Struct, gc=False):
    """A value on its way to callers, of whom each gets what nobody else can change (promise 7).

    ``gc=False``, as for ``Lookup``: one is made for each hit, and nothing in it ever refers back to it.

    ``payload`` is ``None`` for a value that could not be encoded: then only its loader's caller may have it.
    """

    value: Any
    payload: bytes | None
    codec: int
    declared: Any


class Lookup(msgspec.Struct, gc=False):
    """One look.

    Attributes:
        look: What stands there.
        head: Its identity, where a script can compare one.
        answer: Its value, if it can be used.
        remaining: Seconds a placeholder still has, or an entry that may not be used any more.
        reason: What is wrong with it.
        fresh_until: Of an entry that can be used: until when it is fresh on our clock.
        sent_at: When the look was sent.
        header: Of an entry that can be used.
        unknown, blob: For ``UNKNOWN_TAGS``: the tags to ask for, and what is to be judged once more.
    """

    state: EntryState
    stamp: bytes = b""
    answer: DecodedValue | None = None
    remaining: float = 0.0
    reason: str = ""
    fresh_until: float = 0.0
    sent_at: float = 0.0
    header: Header = NO_HEADER
    unknown: tuple[str, ...] = ()
    blob: tuple[bytes, int] = (b"", 0)

    @property
    def is_ending(self) -> bool:
        """Whether the entry may be gone before its claim is of use: others would then take the lease beside it."""
        return self.state in {EntryState.EXPIRED, EntryState.INVALID} and self.remaining < ENDING

    def __repr__(self) -> str:
        return f"<Seen {self.state.value}{' ' + self.reason if self.reason else ''}>"


class ClaimReply(msgspec.Struct):
    """The answer to a claim: whether it is ours, and a new look at the entry taken with it."""

    seen: Lookup
    remaining: float
    granted: bool
