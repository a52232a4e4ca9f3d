"""What a look at an entry showed, and the value of one: the words in which shared answers policy."""

from enum import Enum
from typing import Any

__all__ = ["Answer", "Claimed", "Look", "Seen"]


class Look(Enum):
    """What stands under a key."""

    FRESH = "fresh"
    STALE = "stale"
    SPENT = "spent"  # past ttl + stale, still there
    UNUSABLE = "unusable"  # another version, broken, badly signed, over size, a tag no longer current
    FOREIGN = "foreign"  # not ours at all: nothing a script could compare
    HELD = "held"  # a placeholder: somebody loads
    NONE = "none"
    UNKNOWN_TAGS = "unknown tags"  # usable if its tags are current, which must be asked
    GRANTED = "granted"  # the lease is ours
    FAULT = "fault"  # no answer, or an error reply


class Answer:
    """A value on its way to callers, of whom each gets what nobody else can change (promise 7).

    ``payload`` is ``None`` for a value that could not be encoded: then only its loader's caller may have it.
    """

    __slots__ = ("codec", "declared", "payload", "value")

    def __init__(self, value: Any, payload: bytes | None, codec: int, declared: Any) -> None:
        self.value = value
        self.payload = payload
        self.codec = codec
        self.declared = declared


class Seen:
    """One look."""

    __slots__ = (
        "answer",
        "blob",
        "cost",
        "fresh_until",
        "head",
        "look",
        "reason",
        "remaining",
        "section",
        "sent_at",
        "stale",
        "unknown",
    )

    def __init__(
        self,
        look: Look,
        *,
        head: bytes = b"",
        answer: Answer | None = None,
        remaining: float = 0.0,
        reason: str = "",
    ) -> None:
        self.look = look
        self.head = head
        self.answer = answer
        self.remaining = remaining  # seconds a placeholder or the claim of another still has
        self.reason = reason
        self.cost = 0.0
        self.fresh_until = 0.0
        self.sent_at = 0.0
        self.stale = 0.0
        self.section = b""
        # for UNKNOWN_TAGS: what is needed to judge once more
        self.unknown: tuple[str, ...] = ()
        self.blob: tuple[bytes, int] = (b"", 0)

    def __repr__(self) -> str:
        return f"<Seen {self.look.value}{' ' + self.reason if self.reason else ''}>"


class Claimed:
    """The answer to a claim: whether it is ours, and a new look at the entry taken with it."""

    __slots__ = ("granted", "remaining", "seen")

    def __init__(self, seen: Seen, remaining: float, *, granted: bool) -> None:
        self.seen = seen
        self.remaining = remaining
        self.granted = granted
