"""The types in which policy and the shared cache talk: the result of a read, a decoded value, an entry to be stored."""

from enum import Enum
from typing import Any

import msgspec

from ..format.entry import NO_HEADER, NOT_FAILED, FailedMark, Header, Tags
from .options import CallOptions

__all__ = ["REPLACEABLE", "ClaimReply", "DecodedValue", "EntryState", "Lookup", "NewEntry"]


ENDING = 0.25
"""Seconds that the first renewal of an entry under replacement may take: the usual operation timeout."""


class EntryState(Enum):
    """The state of the entry under a key, as a read of the server shows it."""

    __hash__ = object.__hash__  # a miss looks up states in a dozen sets, and an enum's own hash is a call

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "spent"  # past ttl + stale, still there
    INVALID = "unusable"  # another version, broken, badly signed, over size, a tag no longer current
    FOREIGN = "foreign"  # not written by fleetcache: a script has nothing to compare
    LOADING = "held"  # a placeholder: a process holds the lease and loads
    FAILED = "failed"  # the mark of a load that failed a moment ago
    ERROR = "error"  # a stored error; for any caller that has not declared its class, it is no value
    ENDING = "ending"  # gone in a moment: there is no load to wait for, and nothing to replace
    ABSENT = "none"
    TAGS_UNKNOWN = "unknown tags"  # usable if its tags are current, which must be read from the server
    GRANTED = "granted"  # this process has the lease
    UNAVAILABLE = "fault"  # no answer, or an error reply


REPLACEABLE = frozenset({EntryState.STALE, EntryState.EXPIRED, EntryState.INVALID, EntryState.ERROR})
"""The states of an entry that a load replaces by a claim."""


class DecodedValue(msgspec.Struct, gc=False):
    """A value on its way to callers; each caller gets an object that no other caller can change (promise 7).

    ``gc=False``, as for ``Lookup``: each hit creates one, and nothing in it ever refers back to it.

    ``payload`` is ``None`` for a value that could not be encoded: then only its loader's own caller may have it.
    """

    value: Any
    payload: bytes | None
    codec: int
    declared: Any


class Lookup(msgspec.Struct, gc=False):
    """The result of one read of an entry.

    Attributes:
        state: The state of the entry.
        stamp: The version stamp that identifies the entry, where a script can compare one.
        answer: The value, if it can be used.
        remaining: Seconds until a placeholder, or an entry that may not be used any more, is gone.
        reason: Why the entry cannot be used.
        fresh_until: Until when a usable entry is fresh, on this process's clock.
        sent_at: When the read was sent.
        header: The header of a usable entry.
        unknown, blob: For ``TAGS_UNKNOWN``: the tags to read, and the bytes to judge again once they are known.
        failed: For ``FAILED``: the mark; for ``GRANTED``: how many loads in a row have failed before.
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
    failed: FailedMark = NOT_FAILED

    @property
    def is_ending(self) -> bool:
        """Whether the entry may be gone before its first renewal: another process would then take the lease as well."""
        return self.state in {EntryState.EXPIRED, EntryState.INVALID, EntryState.ERROR} and self.remaining < ENDING

    def __repr__(self) -> str:
        return f"<Seen {self.state.value}{' ' + self.reason if self.reason else ''}>"


class ClaimReply(msgspec.Struct):
    """The answer to a claim.

    Attributes:
        granted: Whether the claim was granted.
        remaining: Seconds until the claim of another process ends by itself, or until a failed mark is stepped over.
        failed: The mark that keeps the claim from this process; if granted, how many loads in a row have failed before.
        holder: The token of the claim of another process.
        late: Whether the claim was asked for a second time, so that a read sent behind it was answered first.
    """

    granted: bool
    remaining: float = 0.0
    failed: FailedMark = NOT_FAILED
    late: bool = False
    holder: bytes = b""


class NewEntry(msgspec.Struct):
    """An entry to be stored: its bytes for the server, and what the near cache gets once the server has them.

    Attributes:
        blob: The bytes of the entry.
        server_ttl_ms: Milliseconds for which the server keeps them.
        stamp: The version stamp in ``blob``.
        answer: The value.
        options: The lifetimes, and the tags of the near entry.
        captured: The tags with the versions in ``blob``.
        cost: How long the load took, in seconds.
        token: The token under which the near cache is filled; ``None``: it gets nothing.
        current: Whether the tags still had the captured versions when the server acknowledged the entry.
    """

    blob: bytes
    server_ttl_ms: int
    stamp: bytes
    answer: DecodedValue
    options: CallOptions
    captured: Tags
    cost: float = 0.0
    token: Any = None
    current: bool = False

    def __repr__(self) -> str:
        """Describe the entry without its value, which may be a secret."""
        return f"<NewEntry {len(self.blob)} bytes, tags={self.options.tags}>"
