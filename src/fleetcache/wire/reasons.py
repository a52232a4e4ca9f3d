"""Reason codes: the one table that maps what a server or a connect attempt says to a word of ours.

The codes are stable: health reports, metrics and alerts carry them.
"""

import os
import re
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
    "PROTOCOL": "protocol",  # our own word for a reply of another shape
}

# What has no code of its own, and is worded anew by each version.
_BY_WORDS: Final = {
    "maxclients": ("max number of clients",),
    # The last two: a password for a server that has none.
    "auth": ("invalid password", "invalid username", "no password is set", "without any password configured"),
    # The last is Redis 7.0 inside a script.
    "noperm": ("failed for the user", "acl failure", "no permissions", "the user executing the script"),
}

TRANSIENT: Final = frozenset({"loading", "busy", "masterdown", "clusterdown"})
"""The server is there and will be well by itself: wait on the same connection."""

PROVES_NOTHING: Final = frozenset({"readonly", "masterdown", "clusterdown", "cluster_mode"})
"""Whoever says so answers, and is not the server we mean, or not now: no word on what near holds."""

NO_WRITES: Final = frozenset({"misconf", "noreplicas", "readonly"})
"""The server refuses stores and removals alike: when it takes one again, it takes the other."""

EMBEDDED: Final = frozenset({"embedded_binary", "embedded_folder", "embedded_unsafe", "embedded_start"})
"""There is no embedded server, see ``embedded.faults``."""

NEEDS_OPERATOR: Final = frozenset({"auth", "noperm", "cluster_mode", "tls"}) | EMBEDDED
"""Only a person can mend it: reconnect slowly."""


# What may stand in the way of scripts: a renamed command, a proxy, a plan of a hoster.
_NOT_AVAILABLE: Final = ("unknown command", "unsupported command", "not allowed", "not supported", "disabled")

# Servers repeat the arguments of what they do not know: keys, the beginning of values, a password.
_ARGUMENTS: Final = re.compile(r",? with args beginning with:.*", re.DOTALL)


class ScriptError(hiredis.ReplyError):
    """An error reply to ``EVALSHA`` or ``EVAL``."""


def spoken(error: Exception) -> str:
    """What an error reply says, as it may be shown: without the arguments of the command that was refused."""
    words = _ARGUMENTS.sub("", str(error))
    return f"EVALSHA: {words}" if isinstance(error, ScriptError) else words


def reply_reason(error: Exception) -> str:
    """The reason code of an error reply."""
    text = str(error)
    code = text.split(" ", 1)[0]
    if code in _BY_CODE:
        return _BY_CODE[code]
    lowered = text.lower()
    for reason, words in _BY_WORDS.items():
        if any(word in lowered for word in words):
            return reason
    for word, reason in _BY_CODE.items():  # Redis before 7.0 wraps what a script's command answered, dash and all
        if f" {word} " in text or f" -{word} " in text:
            return reason
    if isinstance(error, ScriptError) and any(words in lowered for words in _NOT_AVAILABLE):
        return "no_scripts"
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


def connect_words(error: BaseException) -> str:
    """What a failed attempt to connect is called by the system: ``Connection refused``."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return str(error) or "no answer in time"
    # Errors of TLS and of a name's lookup are OSErrors, too, with numbers of their own: they are not builtins.
    if isinstance(error, OSError) and error.errno is not None and type(error).__module__ == "builtins":
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
