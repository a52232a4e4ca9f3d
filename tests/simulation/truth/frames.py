"""Frames sent and received, without the parts that may differ between two equal servers.

A push, an error and an end of connection have their own types, so that they cannot be taken for a reply.
"""

from dataclasses import dataclass
from typing import Any, Final

import hiredis

from fleetcache.wire.reasons import reply_reason

__all__ = ["END", "Command", "End", "Failed", "IdOf", "Push", "frame_of"]

# The fields of INFO that the simulated server has.
INFO = {"redis_version", "server_name", "valkey_version", "run_id"}


@dataclass(frozen=True)
class IdOf:
    """In a command: the number that the server gave to this client."""

    client: int


Command = tuple[bytes | str | int | IdOf, ...]


@dataclass(frozen=True)
class Push:
    """``invalidate`` for one key, or for all."""

    key: bytes | None


@dataclass(frozen=True)
class Failed:
    """An error reply: its code word, and the cache's reason for it."""

    code: str
    reason: str


@dataclass(frozen=True)
class End:
    """The server closed the connection."""


END: Final = End()


def frame_of(raw: Any) -> Any:
    """Return the parts of a frame that are compared."""
    if isinstance(raw, hiredis.PushNotification):
        kind, keys = raw
        assert kind == b"invalidate"
        assert keys is None or len(keys) == 1, "in the default mode each push tells of one key"
        return Push(keys and keys[0])
    if isinstance(raw, hiredis.ReplyError):
        return Failed(str(raw).split(" ", 1)[0], reply_reason(raw))
    if isinstance(raw, list) and raw[:1] == [b"server"]:  # HELLO in RESP2
        raw = dict(zip(raw[::2], raw[1::2], strict=True))
    if isinstance(raw, dict):  # HELLO: the build and the number of the connection do not matter
        return {key: value for key, value in raw.items() if key not in {b"id", b"version"}}
    text = raw if isinstance(raw, str) else raw.decode(errors="replace") if isinstance(raw, bytes) else ""
    if text.startswith("# Server"):
        return INFO & {line.partition(":")[0] for line in text.splitlines()}
    if text.startswith("# Replication"):
        said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return said["role"], len(said["master_replid"]), bool(said["master_replid2"].strip("0"))
    return raw
