"""Find headers that no reply to this cache has, before the parser sees them: the parser trusts every header.

hiredis makes room for all elements of an aggregate when it reads how many there will be (``*2147483647`` is 17 GB and
seconds of a blocked event loop), and hands out an attribute, which belongs to the next frame, as a separate frame.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["FrameGuard", "ProtocolError"]

# No reply to a command of this cache has a hundred elements. Nested as deep as the parser goes, this many take 80 MB.
MAX_ELEMENTS: Final = 9_999
_TOO_MANY = rb"[*%~>][0-9]{5}"
_ODD = rb"(?:" + _TOO_MANY + rb"|\|)"
# Two patterns: a search for a plain first character is twenty times as fast as a search for a choice of characters.
_odd_line = re.compile(rb"\n" + _ODD).search
_odd_lines = re.compile(rb"\n" + _ODD).finditer
_odd_start = re.compile(_ODD).match
# An incomplete header. The parser refuses numbers of more digits.
_cut_header = re.compile(rb"[*%~>|][0-9]{0,20}\r?\Z").search
_MAX_CUT: Final = 22
_value = re.compile(rb"\$([0-9]{1,18})\r\n").match
_AGGREGATES: Final = b"*%~>|"
_LINE_END: Final = 0x0A


class ProtocolError(Exception):
    """The peer does not speak RESP, sends a reply without a call, or sends a frame beyond all bounds."""


class FrameGuard:
    """Checks arriving bytes; ``split`` cuts them so that the parser itself distinguishes a header from content.

    Args:
        reader: The parser, a ``hiredis.Reader``. Before each next piece, all its complete frames must have been read.
    """

    __slots__ = ("_begins", "_held", "_inside", "_reader")

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._begins = True  # whether the next byte begins a line, outside of the two below
        self._held = b""  # the beginning of a header
        self._inside = 0  # bytes of a value that are still to come

    def is_safe(self, data: bytes | memoryview) -> bool:
        """Return True if the bytes can go to the parser whole: a quick check that most bytes pass."""
        return (
            self._begins
            and data[-1] == _LINE_END
            and (data[0] not in _AGGREGATES or _odd_start(data) is None)
            and _odd_line(data) is None
        )

    def split(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """Yield the same bytes in order, except for an incomplete header at their end, which waits for its rest.

        Raises:
            ProtocolError: The next bytes are a header that no reply has.
        """
        begins = self._begins or bool(self._held)
        last = data[-1]
        if self._held:
            data, self._held = self._held + bytes(data), b""
        if self._inside:
            yield data[: self._inside]
            self._inside, data = max(self._inside - len(data), 0), data[self._inside :]
            begins = True
        if data:
            self._inside = max(self._value_end(data) - len(data), 0) if begins else 0
            if self._inside:  # the bytes are all content: large values are not searched
                yield data
            else:
                yield from self._searched(data, begins=begins)
        self._begins = last == _LINE_END and not self._inside

    def _value_end(self, data: bytes | memoryview) -> int:
        """Return where the value ends that begins with these bytes; 0 if no value begins here."""
        found = _value(data)
        return 0 if found is None or self._reader.has_data() else found.end() + int(found[1]) + 2

    def _searched(self, data: bytes | memoryview, *, begins: bool) -> Iterator[bytes | memoryview]:
        end = _cut_at(data, begins=begins)
        self._held = bytes(data[end:])
        begun = 0
        for at in _suspects(data, begins=begins):
            if at >= end:
                break
            if at > begun:
                yield data[begun:at]
                begun = at
            # With no bytes left over, the parser stands between two items. Else the match is content of a value.
            if not self._reader.has_data():
                raise ProtocolError(_what(data[at]))
        if end > begun:
            yield data[begun:end]


def _suspects(data: bytes | memoryview, *, begins: bool) -> Iterator[int]:
    if begins and _odd_start(data) is not None:
        yield 0
    for found in _odd_lines(data):
        yield found.start() + 1


def _cut_at(data: bytes | memoryview, *, begins: bool) -> int:
    """Return where the incomplete header begins; the end of the bytes if there is none."""
    found = _cut_header(data[-_MAX_CUT:])
    at = len(data) - (len(found[0]) if found is not None else 0)
    return at if (data[at - 1] == _LINE_END if at else begins) else len(data)


def _what(kind: int) -> str:
    return "a frame with attributes" if kind == ord("|") else f"a frame of more than {MAX_ELEMENTS} elements"
