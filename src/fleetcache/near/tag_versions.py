"""Tracked copies of tag versions: they show that an entry is current without a request to the server; tags in doubt.

An entry carries the versions its tags had before its loader ran. It is current if each equals the copy held here. A
missing copy means *unknown*, never *current*; versions are random and never come back, so equality proves that nothing
was removed in between.

Rules of a tag in doubt. A push names a tag when its version changed, and also when the server's tracking table has no
room for it, which says nothing about the version. So the push is a reason to ask:

1. The copy of the version goes at the push. The near cache keeps the tag's entries: no other entry with the tag is put
   in while its version is unknown, so all of them are of the version that was known at the push.
2. While a tag is in doubt, the horizon does not pass the time until which the last answer before its push vouched:
   that answer was sent before the change, if there was one. Later answers prove nothing for the entries in doubt.
3. Every version that arrives after the push was read after the change, whoever asked for it. The same version ends the
   doubt and nothing is lost; another version, an error or no answer drops the tag's entries. They are dropped before
   the horizon moves on: another thread may read near in between.
4. A tag is not put in doubt, and its entries are dropped at once, if its version is unknown, if its removal is pending,
   or if the question cannot be sent.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Protocol

from ..format.entry import parse_tags

__all__ = ["Doubts", "Horizon", "TagState", "TagVersions", "is_of_run", "new_version", "run_mark"]

# Of the 16 bytes of a version, this many name the server's run under which it was made; the rest are random. 64 random
# bits are practically never drawn twice, and the marks of two runs are equal just as rarely.
RUN_BYTES = 8

# Bytes of a copy beyond its tag's text, and of a remembered tags' part beyond its bytes and names: objects, their slots
# in the dict as that grows, rounded up as the allocator does. Measured by tracemalloc, plus a margin.
COPY_BYTES, SECTION_BYTES, POINTER = 176, 112, 8


class TagState(Enum):
    """The state of an entry's tags, judged by the copies."""

    CURRENT = "current"
    OUTDATED = "outdated"
    UNKNOWN = "unknown"


class TagVersions:
    """Versions by tag, each from a tracked read (or, without tracking, good for a short time only).

    Args:
        most_bytes: Most bytes that the copies and the remembered tags' parts may take.
    """

    MAX = 50_000  # the server's tracking table has an entry for each copy held here

    def __init__(self, most_bytes: int = 8_000_000) -> None:
        self._most_bytes = most_bytes
        self._copies: dict[str, tuple[bytes, float]] = {}
        self._copy_bytes = self._section_bytes = 0
        # Tags' parts known to be current. Entries of equal tags and versions have equal bytes there, so one look-up
        # replaces a parse. Kept only for copies that do not age.
        self.current_sections: dict[bytes, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._copies)

    @property
    def weight(self) -> int:
        """Bytes that the copies and the remembered tags' parts take."""
        return self._copy_bytes + self._section_bytes

    def keep(self, tag: str, version: bytes, until: float) -> list[str]:
        """Store a copy; return the tags whose copies were dropped for it: the caller drops their entries, too."""
        known = self._copies.get(tag)
        if known is None or known[0] != version:
            self._forget_sections()
        if known is None:
            self._copy_bytes += _copy_size(tag)
        self._copies[tag] = (version, until)
        if len(self._copies) <= self.MAX and self._copy_bytes <= self._most_bytes:
            return []
        # An eighth at once, because each drop forgets all remembered tags' parts.
        too_many = len(self._copies) - self.MAX * 7 // 8
        too_much = self._copy_bytes - self._most_bytes * 7 // 8
        oldest = []
        for name in self._copies:
            if too_many <= 0 and too_much <= 0:
                break
            if name not in ("*", tag):
                oldest.append(name)
                too_many -= 1
                too_much -= _copy_size(name)
        for name in oldest:
            self.drop(name)
        return oldest

    def _forget_sections(self) -> None:
        self.current_sections.clear()
        self._section_bytes = 0

    def drop(self, tag: str) -> None:
        """Drop the copy of a tag's version: it is unknown from now on."""
        if self._copies.pop(tag, None) is not None:
            self._copy_bytes -= _copy_size(tag)
            self._forget_sections()

    def clear(self) -> None:
        """Drop every copy: no version is known from now on."""
        self._copies.clear()
        self._copy_bytes = 0
        self._forget_sections()

    def version(self, tag: str, now: float) -> bytes | None:
        """Return the tag's current version; ``None`` if it is unknown."""
        copy = self._copies.get(tag)
        return copy[0] if copy is not None and now < copy[1] else None

    def missing(self, tags: Iterable[str], now: float) -> list[str]:
        """Return the tags whose version is unknown."""
        return [tag for tag in tags if self.version(tag, now) is None]

    def judge(self, section: bytes, now: float) -> tuple[TagState, tuple[str, ...]]:
        """Return whether an entry with these tags is current, and its tags.

        For ``UNKNOWN`` the tags are those whose versions must be read; for ``OUTDATED`` there are none. If one is
        missing, copies that age are read with it: they could end while it is read, and so in turns.
        """
        names = self.current_sections.get(section)
        if names is not None:
            return TagState.CURRENT, names
        tags = parse_tags(section)
        if not tags:  # broken, or without even the tag that every entry carries
            return TagState.OUTDATED, ()
        unknown, ageing = [], []
        for name, version in tags:
            copy = self._copies.get(name)
            if copy is None or now >= copy[1]:
                unknown.append(name)
            elif copy[0] != version:
                return TagState.OUTDATED, ()
            elif copy[1] < float("inf"):
                ageing.append(name)
        if unknown:
            return TagState.UNKNOWN, (*unknown, *ageing)
        names = tuple(name for name, _ in tags)
        if not ageing:
            self._remember(section, names)
        return TagState.CURRENT, names

    def _remember(self, section: bytes, names: tuple[str, ...]) -> None:
        size = SECTION_BYTES + sys.getsizeof(section) + sum(POINTER + sys.getsizeof(name) for name in names)
        if self.weight + size > self._most_bytes:
            self._forget_sections()
        if self.weight + size <= self._most_bytes:
            self.current_sections[section] = names
            self._section_bytes += size


class Horizon(Protocol):
    """The link, as far as doubts know it."""

    @property
    def vouched_until(self) -> float:
        """The time until which the newest answer vouches for the near cache."""
        ...

    def hold_to(self, cap: float) -> None:
        """Let no newer answer move the horizon beyond ``cap``."""
        ...


class Doubts:
    """The tags in doubt: a push named each, and its version is being asked for.

    Attributes:
        ask: Sends the question for a tag's version; returns False if it cannot be sent.
        link: The link whose horizon the doubts hold.
    """

    def __init__(self) -> None:
        # By tag: the version known at the push, and until when the last answer before the push vouches. In the order of
        # the pushes, so the first has the nearest bound.
        self._open: dict[str, tuple[bytes, float]] = {}
        self.ask: Callable[[str], bool] = lambda _tag: False
        self.link: Horizon | None = None

    def __contains__(self, tag: str) -> bool:
        return tag in self._open

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, tag: str, version: bytes) -> bool:
        """Ask for the version of a tag; return whether the tag is in doubt now."""
        if self.link is None or not self.ask(tag):
            return False
        self._open[tag] = (version, self.link.vouched_until)
        self._hold()
        return True

    def differs(self, tag: str, version: bytes) -> bool:
        """Return whether the tag is in doubt, and this version is not the one that was known at the push."""
        doubt = self._open.get(tag)
        return doubt is not None and doubt[0] != version

    def end(self, tag: str) -> None:
        """End the doubt on a tag, if it is in doubt: its entries are of its version, or dropped."""
        if self._open.pop(tag, None) is not None:
            self._hold()

    def end_all(self) -> None:
        """End every doubt: the entries of these tags are dropped."""
        self._open.clear()
        self._hold()

    def _hold(self) -> None:
        if self.link is not None:
            self.link.hold_to(next(iter(self._open.values()))[1] if self._open else float("inf"))


def _copy_size(tag: str) -> int:
    return COPY_BYTES + sys.getsizeof(tag)


def run_mark(run_id: str | None) -> bytes:
    """Return the bytes that name a run of the server in a version; ``b""`` when the run id is unknown."""
    return b"" if run_id is None else hashlib.blake2b(run_id.encode(), digest_size=RUN_BYTES).digest()


def new_version(random: bytes, run: bytes) -> bytes:
    """Return a new version of the tag on every entry, from 16 random bytes."""
    return random[: len(random) - len(run)] + run


def is_of_run(version: bytes, run: bytes) -> bool:
    """Return whether the version was made under this run of the server."""
    return version.endswith(run)
