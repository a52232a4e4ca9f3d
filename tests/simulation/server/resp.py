"""Replies and pushes as bytes, in RESP2 and RESP3.

The result of a command is a plain Python value; types that Python lacks are defined here.
"""

from dataclasses import dataclass

__all__ = ["ErrorReply", "Reply", "Status", "Text", "encode", "encode_push"]


@dataclass(frozen=True)
class Status:
    """A simple string: ``OK``, ``PONG``."""

    text: str


@dataclass(frozen=True)
class Text:
    """A verbatim string; RESP2 has none and sends it as bytes."""

    text: str


class ErrorReply(Exception):
    """An error reply, raised by the command. The text begins with the code word."""


Reply = bytes | int | None | Status | Text | ErrorReply | list["Reply"] | dict[bytes, "Reply"]


def encode(reply: Reply, protocol: int) -> bytes:  # noqa: PLR0911 - one line for each type
    """Return the bytes of one reply in RESP 2 or 3."""
    match reply:
        case None:
            return b"_\r\n" if protocol == 3 else b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case Status():
            return b"+%b\r\n" % reply.text.encode()
        case ErrorReply():
            return b"-%b\r\n" % str(reply).encode()
        case Text():
            text = reply.text.encode()
            return b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text) if protocol == 3 else encode(text, protocol)
        case list():
            return b"*%d\r\n" % len(reply) + b"".join([encode(item, protocol) for item in reply])
        case dict():
            count = b"%%%d\r\n" % len(reply) if protocol == 3 else b"*%d\r\n" % (2 * len(reply))
            return count + b"".join([encode(part, protocol) for pair in reply.items() for part in pair])


def encode_push(key: bytes | None) -> bytes:
    """Return the bytes of ``invalidate`` for one key, or for everything."""
    return b">2\r\n$10\r\ninvalidate\r\n" + encode(None if key is None else [key], 3)
