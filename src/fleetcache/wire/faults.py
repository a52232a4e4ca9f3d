"""Reason codes: the one table that maps what a server or a connect attempt says to a word of ours.

The codes are stable: health reports, metrics and alerts carry them.
"""

import ssl
from typing import Final

__all__ = ["DOOMED", "EMBEDDED", "NO_WRITES", "TRANSIENT", "connect_reason", "reply_reason"]

_BY_CODE: Final = {
    "OOM": "oom",
    "READONLY": "readonly",
    "LOADING": "loading",
    "MISCONF": "misconf",
    "BUSY": "busy",
    "MASTERDOWN": "masterdown",
    "CLUSTERDOWN": "clusterdown",
    "TRYAGAIN": "clusterdown",
    "MOVED": "cluster_mode",
    "ASK": "cluster_mode",
    "CROSSSLOT": "cluster_mode",
    "NOAUTH": "auth",
    "WRONGPASS": "auth",
    "NOPERM": "noperm",
    "WRONGTYPE": "wrongtype",
    "NOSCRIPT": "noscript",
    "NOPROTO": "noproto",
    "NOREPLICAS": "noreplicas",
}

# As the versions word it; the last is Redis 7.0 inside a script.
_NO_PERMISSION: Final = ("failed for the user", "acl failure", "no permissions", "the user executing the script")

TRANSIENT: Final = frozenset({"loading", "busy", "masterdown", "clusterdown"})
"""The server is there and will be well by itself: wait on the same connection."""

NO_WRITES: Final = frozenset({"misconf", "noreplicas", "readonly"})
"""The server refuses stores and removals alike: when it takes one again, it takes the other."""

EMBEDDED: Final = frozenset({"embedded_binary", "embedded_folder", "embedded_unsafe", "embedded_start"})
"""There is no embedded server, see ``embedded.faults``."""

DOOMED: Final = frozenset({"auth", "noperm", "cluster_mode", "tls"}) | EMBEDDED
"""Only a person can mend it: reconnect slowly."""


def reply_reason(error: Exception) -> str:
    """The reason code of an error reply."""
    text = str(error)
    code = text.split(" ", 1)[0]
    if code in _BY_CODE:
        return _BY_CODE[code]
    lowered = text.lower()
    if "max number of clients" in lowered:
        return "maxclients"
    if "invalid password" in lowered or "invalid username" in lowered:
        return "auth"
    # Redis before 7.0 wraps what a script's command answered; permissions are worded anew by each version.
    if any(words in lowered for words in _NO_PERMISSION):
        return "noperm"
    for word, reason in _BY_CODE.items():
        if f" {word} " in text:
            return reason
    return "error"


def connect_reason(error: BaseException) -> str:
    """The reason code of a failed attempt to connect."""
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "refused"
    if isinstance(error, PermissionError):
        return "noperm"
    if isinstance(error, ConnectionError):
        return "reset"
    # getaddrinfo and unreachable networks: all the other OSErrors of a connect
    return "unreachable" if isinstance(error, OSError) else "error"
