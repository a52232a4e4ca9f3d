"""Tracked copies of tag versions: by them an entry is known to be current without asking.

An entry carries the versions its tags had before its loader ran. It is current if each equals the copy held here. A
missing copy means *unknown*, never *current*; versions are random and never come back, so equality proves that nothing
was removed in between.
"""

import hashlib
from collections.abc import Iterable
from enum import Enum

from .entry import parse_tags

__all__ = ["Currency", "TagCopies", "is_of_run", "new_version", "run_mark"]

# Of the 16 bytes of a version so many name the run of the server it was made under, the others are random. 64 random
# bits are never drawn twice, and two runs share 64 as seldom.
RUN_BYTES = 8


class Currency(Enum):
    """What the copies say of an entry's tags."""

    CURRENT = "current"
    OUTDATED = "outdated"
    UNKNOWN = "unknown"


class TagCopies:
    """Versions by tag, each from a tracked read (or, without tracking, good for a short time only)."""

    # A copy takes about 200 bytes: 10 MB for a process that meets very many tags.
    MOST = 50_000

    def __init__(self) -> None:
        self._copies: dict[str, tuple[bytes, float]] = {}
        # Entries of equal tags and versions share the bytes of their tags' part: one look-up instead of a parse.
        # Kept only for copies that do not age.
        self.current_sections: dict[bytes, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._copies)

    def keep(self, tag: str, version: bytes, until: float) -> str | None:
        """Take in a copy; returns the name of a copy that had to go for it, whose entries must go with it."""
        known = self._copies.get(tag)
        if known is None or known[0] != version:
            self.current_sections.clear()
        self._copies[tag] = (version, until)
        if len(self._copies) <= self.MOST:
            return None
        oldest = next(name for name in self._copies if name != "*")
        self.drop(oldest)
        return oldest

    def drop(self, tag: str) -> None:
        """The version is no longer known."""
        if self._copies.pop(tag, None) is not None:
            self.current_sections.clear()

    def clear(self) -> None:
        """No version is known."""
        self._copies.clear()
        self.current_sections.clear()

    def version(self, tag: str, now: float) -> bytes | None:
        """The current version as far as known."""
        copy = self._copies.get(tag)
        return copy[0] if copy is not None and now < copy[1] else None

    def missing(self, tags: Iterable[str], now: float) -> list[str]:
        """The tags whose version is not known."""
        return [tag for tag in tags if self.version(tag, now) is None]

    def judge(self, section: bytes, now: float) -> tuple[Currency, tuple[str, ...]]:
        """Whether an entry with these tags is current; the names, or for ``UNKNOWN`` those that must be asked for."""
        names = self.current_sections.get(section)
        if names is not None:
            return Currency.CURRENT, names
        tags = parse_tags(section)
        if not tags:  # broken, or not even the tag that is on every entry
            return Currency.OUTDATED, ()
        unknown = []
        endless = True
        for name, version in tags:
            copy = self._copies.get(name)
            if copy is None or now >= copy[1]:
                unknown.append(name)
            elif copy[0] != version:
                return Currency.OUTDATED, ()
            else:
                endless = endless and copy[1] == float("inf")
        if unknown:
            return Currency.UNKNOWN, tuple(unknown)
        names = tuple(name for name, _ in tags)
        if endless:
            if len(self.current_sections) > self.MOST:
                self.current_sections.clear()
            self.current_sections[section] = names
        return Currency.CURRENT, names


def run_mark(run_id: str | None) -> bytes:
    """What names a run of the server in a version; nothing when it cannot be told."""
    return b"" if run_id is None else hashlib.blake2b(run_id.encode(), digest_size=RUN_BYTES).digest()


def new_version(random: bytes, run: bytes) -> bytes:
    """A version of the tag on every entry, from 16 random bytes."""
    return random[: len(random) - len(run)] + run


def is_of_run(version: bytes, run: bytes) -> bool:
    """Whether the version was made under this run of the server."""
    return version.endswith(run)
