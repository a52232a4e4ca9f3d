"""Reason codes: the one table that maps the errors of a server or of a connect attempt to stable words.

The codes are stable: health reports, metrics and alerts carry them.
"""

import os
import ssl
from typing import Final

import hiredis

__all__ = [
    "EMBEDDED",
    "NEEDS_OPERATOR",
    "NO_WRITES",
    "PROVES_NOTHING",
    "TRANSIENT",
    "ScriptError",
    "connect_reason",
    "connect_words",
    "reply_reason",
    "spoken",
]

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
    "PROTOCOL": "protocol",  # made by the cache, for a reply of another shape
}

# Errors that have no code of their own, and that each version words differently.
_BY_WORDS: Final = {
    "maxclients": ("max number of clients",),
    # The last two: a password for a server that has none.
    "auth": ("invalid password", "invalid username", "no password is set", "without any password configured"),
    # The last is Redis 7.0 inside a script.
    "noperm": ("failed for the user", "acl failure", "no permissions", "the user executing the script"),
}

TRANSIENT: Final = frozenset({"loading", "busy", "masterdown", "clusterdown"})
"""The server is there and will recover by itself: keep waiting on the same connection."""

PROVES_NOTHING: Final = frozenset({"readonly", "masterdown", "clusterdown", "cluster_mode"})
"""A server with such an error answers, but is not (or not now) the intended server: it confirms no near entries."""

NO_WRITES: Final = frozenset({"misconf", "noreplicas", "readonly"})
"""The server refuses stores and removals alike: when it accepts a store again, it accepts a removal."""

EMBEDDED: Final = frozenset({"embedded_binary", "embedded_folder", "embedded_unsafe", "embedded_start"})
"""There is no embedded server, see ``embedded.errors``."""

NEEDS_OPERATOR: Final = frozenset({"auth", "noperm", "cluster_mode", "tls"}) | EMBEDDED
"""Only an operator can remove the cause: reconnect slowly."""


# Error texts of a server without scripts: because of a renamed command, a proxy, or a hoster's plan.
_NOT_AVAILABLE: Final = ("unknown command", "unsupported command", "not allowed", "not supported", "disabled")

# Servers repeat the arguments of an unknown command: keys, the beginning of values, a password.
_ARGUMENTS: Final = " with args beginning with:"


class ScriptError(hiredis.ReplyError):
    """An error reply to ``EVALSHA`` or ``EVAL``."""


def spoken(error: Exception) -> str:
    """Return the text of an error reply as it may be shown: without the arguments of the refused command."""
    words, named, _ = str(error).partition(_ARGUMENTS)
    words = words.removesuffix(",") if named else words
    return f"EVALSHA: {words}" if isinstance(error, ScriptError) else words


def reply_reason(error: Exception) -> str:
    """Return the reason code of an error reply."""
    text = str(error)
    code = text.split(" ", 1)[0]
    if code in _BY_CODE:
        return _BY_CODE[code]
    lowered = text.lower()
    for reason, words in _BY_WORDS.items():
        if any(word in lowered for word in words):
            return reason
    for word, reason in _BY_CODE.items():  # Redis before 7.0 wraps the error of a script's command, dash and all
        if f" {word} " in text or f" -{word} " in text:
            return reason
    if isinstance(error, ScriptError) and any(words in lowered for words in _NOT_AVAILABLE):
        return "no_scripts"
    return "error"


def connect_reason(error: BaseException) -> str:
    """Return the reason code of a failed attempt to connect."""
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


def connect_words(error: BaseException) -> str:
    """Return the system's words for a failed attempt to connect: ``Connection refused``."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return str(error) or "no answer in time"
    # Errors of TLS and of name lookup are OSErrors, too, with their own numbers; their types are not builtins.
    if isinstance(error, OSError) and error.errno is not None and type(error).__module__ == "builtins":
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
