"""An entry: a value's bytes with its lifetimes and tags, as stored on the server.

Layout of an entry, big endian (format 2)::

    0   1   b"V"
    1  16   stamp, random and never used twice: with the "V" it is the *head*, the identity that scripts compare
    17  1   format of the bytes that follow
    18  1   codec of the payload; ``codec`` has the table of ids
    19  1   flags: 1 = signed, 8 = an error. Kept free: 2 = compressed, 4 = sealed, 0x30 = algorithm of 2
    20  1   number of tags
    21  4   ttl in ms
    25  4   stale in ms
    29  4   cost: how long the load took, in ms
    33  2   where the payload starts
    35  .   per tag: length (1), name, version (16)
    ..  32  signature, if signed
    ..      payload

A placeholder, stored while a process loads the value, is exactly ``b"L"`` + 16 random bytes. Freshness is not stored:
it follows from the remaining life of the key on the server (``PTTL``), which keeps it for ``ttl + stale + GRACE``.

A *failed mark*, which a failed load leaves for the processes that waited for it, is ``b"F"`` + the 16 bytes of its
placeholder + decimal text: the failed loads in a row, a space, the life of the mark in ms. ``" t"`` behind them says
that the load was ended by its ``load_limit``. A later release may append more. The mark of a load under a claim is in
the key of the claim.

Format 2 has room for additions of later releases. An entry with a flag that this release does not know is unusable, so
it is loaded again and replaced. An entry with flag 8 holds a declared exception in place of a value: its payload is
``[module.qualname, args]`` in the entry's codec.
"""

import struct
from typing import Final

import msgspec

__all__ = [
    "FORMATS_READ",
    "FORMAT_WRITTEN",
    "GRACE",
    "HEAD_SIZE",
    "ILL",
    "NOT_FAILED",
    "NO_HEADER",
    "STORED_ERROR",
    "FailedMark",
    "Header",
    "Tags",
    "failed_mark",
    "is_placeholder",
    "pack",
    "parse_failed",
    "parse_header",
    "parse_tags",
    "tag_section",
]

GRACE = 10.0
"""Seconds the server keeps an entry past ``ttl + stale``, so that a refresh under way can still replace it."""

FORMAT_WRITTEN = 2
FORMATS_READ = frozenset({2})
"""A release reads formats n and n-1, and writes n-1 until told otherwise, so that two releases run side by side.

Format 1 was never published, and its values may differ from the values given to it: it is not read.
"""

HEAD_SIZE = 17
VERSION_SIZE = 16
SIGNATURE_SIZE = 32
SIGNED = 1
ERROR = 8
_UNKNOWN_FLAGS = ~(SIGNED | ERROR)
STORED_ERROR: Final = object()
"""Stands for the declared type of a stored error. No caller declares it, so no reader of values gets one."""
_FIXED = struct.Struct(">17sBBBBIIIH")
_read_fixed = _FIXED.unpack_from
TAGS_START = _FIXED.size
_ENTRY = ord("V")

Tags = tuple[tuple[str, bytes], ...]
"""Names of tags with the version each had before the loader ran."""


class Header(msgspec.Struct, gc=False, frozen=True):
    """The part before the payload; ``section`` holds the tags, in the same bytes for all entries of equal tags."""

    stamp: bytes
    codec: int
    ttl: float
    stale: float
    cost: float
    section: bytes
    signature: bytes | None
    payload_start: int
    is_error: bool = False


NO_HEADER = Header(b"", 0, 0.0, 0.0, 0.0, b"", None, 0)
"""The header for bytes that are not an entry."""


def tag_section(tags: Tags) -> bytes:
    """Return the tag section of an entry."""
    parts: list[bytes] = []
    for name, version in tags:
        raw = name.encode()
        parts += (bytes((len(raw),)), raw, version)
    return b"".join(parts)


def parse_tags(section: bytes) -> Tags | None:
    """Return the tags of a section; ``None`` if the bytes are not a tag section."""
    tags = []
    at = 0
    while at < len(section):
        end = at + 1 + section[at]
        version = section[end : end + VERSION_SIZE]
        if len(version) != VERSION_SIZE:
            return None
        try:
            tags.append((section[at + 1 : end].decode(), version))
        except UnicodeDecodeError:
            return None
        at = end + VERSION_SIZE
    return tuple(tags)


def pack(
    stamp: bytes,
    codec: int,
    lifetimes: tuple[float, float, float],
    section: bytes,
    count: int,
    *,
    signed: bool,
    error: bool = False,
) -> bytes:
    """Return all bytes before the signature and the payload.

    Args:
        stamp: ``b"V"`` and a new stamp.
        codec: Id of the codec that wrote the payload.
        lifetimes: ttl, stale and cost in seconds.
        section: The tags, from ``tag_section``.
        count: Number of tags in the section.
        signed: True if a signature follows, before the payload.
        error: True if the payload is a declared exception.
    """
    ttl, stale, cost = (min(round(seconds * 1000), 0xFFFFFFFF) for seconds in lifetimes)
    start = TAGS_START + len(section) + (SIGNATURE_SIZE if signed else 0)
    flags = (SIGNED if signed else 0) | (ERROR if error else 0)
    return _FIXED.pack(stamp, FORMAT_WRITTEN, codec, flags, count, ttl, stale, cost, start) + section


def parse_header(blob: bytes, *, cut: bool = False) -> Header | None:
    """Return the header of an entry; ``None`` for bytes that are not an entry of a format this release reads.

    Args:
        blob: The entry, or with ``cut`` its beginning.
        cut: Accept an entry without its payload.
    """
    size = len(blob)
    if size < TAGS_START or blob[0] != _ENTRY:
        return None
    stamp, written, codec, flags, _count, ttl, stale, cost, start = _read_fixed(blob)
    if written not in FORMATS_READ or flags & _UNKNOWN_FLAGS:
        return None
    signed = flags & SIGNED
    tags_end = start - SIGNATURE_SIZE if signed else start
    if tags_end < TAGS_START or (tags_end if cut else start) > size:
        return None
    signature = blob[tags_end:start] if signed else None
    section = blob[TAGS_START:tags_end]
    return Header(stamp, codec, ttl / 1000, stale / 1000, cost / 1000, section, signature, start, flags >= ERROR)


def signed_part(blob: bytes, header: Header) -> bytes:
    """Return the bytes that a signature covers: all but the signature."""
    return blob[: header.payload_start - SIGNATURE_SIZE] + blob[header.payload_start :]


def is_placeholder(blob: bytes) -> bool:
    """Return True for a placeholder: a process is loading the value."""
    return len(blob) == HEAD_SIZE and blob[:1] == b"L"


def has_head(blob: bytes) -> bool:
    """Return True if the bytes begin like an entry, a placeholder or a failed mark of any format.

    A script can then compare their first 17 bytes.
    """
    return len(blob) >= HEAD_SIZE and blob[:1] in {b"V", b"L", b"F"}


# -- the mark of a failed load ----------------------------------------------------------------------------------------

ILL: Final = 2
"""So many failed loads in a row mean that the source is ill. One failure may be chance."""

GUARD_MS: Final = 100
"""The age in ms from which a mark that ends waits is stepped over. Callers that waited have seen the mark by then."""

# A caller that asks right after the failure must still find the mark, so it lives for a second and two loads more. The
# mark is of no use to a caller that asks later than this.
_MARK_MS, _MAX_MARK_MS = 1000, 30_000
_MAX_FAILURES = 9999
_MAX_COUNT_DIGITS, _MAX_LIFE_DIGITS = 4, 5


class FailedMark(msgspec.Struct, gc=False, frozen=True):
    """What a failed mark says.

    Attributes:
        stamp: The head of the mark, which scripts compare; empty: there is no mark.
        failures: The failed loads in a row.
        timed_out: Whether the last of them was ended by its ``load_limit``.
        guarded_ms: Milliseconds until the mark is stepped over.
        left_ms: Milliseconds until the mark ends by itself.
    """

    stamp: bytes = b""
    failures: int = 0
    timed_out: bool = False
    guarded_ms: int = 0
    left_ms: int = 0

    @property
    def ends_waits(self) -> bool:
        """Whether the callers that waited for the failed load wait for no other one."""
        return self.timed_out or self.failures >= ILL


NOT_FAILED: Final = FailedMark()
"""No load failed a moment ago."""


def failed_mark(right: bytes, failures: int, took: float, *, timed_out: bool = False) -> tuple[bytes, int]:
    """Return the bytes of a failed mark and its life in ms.

    Args:
        right: The placeholder, or the claim, that the mark replaces.
        failures: The failed loads in a row, this load among them.
        took: The seconds that the load took.
        timed_out: Whether the load was ended by its ``load_limit``.
    """
    life = min(_MAX_MARK_MS, _MARK_MS + round(2000 * took))
    text = b"%d %d%b" % (min(failures, _MAX_FAILURES), life, b" t" if timed_out else b"")
    return b"F" + right[1:HEAD_SIZE] + text, life


def _is_number(text: bytes, digits: int) -> bool:
    return text.isdigit() and len(text) <= digits


def parse_failed(blob: bytes, pttl: int) -> FailedMark:
    """Return what a failed mark says; ``NOT_FAILED`` for any other bytes.

    Args:
        blob: The bytes under a key.
        pttl: The milliseconds that the key has left.
    """
    words = blob[HEAD_SIZE:].split(b" ", 3) if blob[:1] == b"F" else ()
    if len(words) < 2 or not (_is_number(words[0], _MAX_COUNT_DIGITS) and _is_number(words[1], _MAX_LIFE_DIGITS)):  # noqa: PLR2004 - count, life
        return NOT_FAILED
    failures, age, timed_out = int(words[0]), int(words[1]) - pttl, words[2:3] == [b"t"]
    if failures == 0:
        return NOT_FAILED
    guards = (timed_out or failures >= ILL) and 0 <= age < GUARD_MS
    return FailedMark(blob[:HEAD_SIZE], failures, timed_out, GUARD_MS - age if guards else 0, max(pttl, 0))
