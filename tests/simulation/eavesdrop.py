"""Listens at the server: the commands and replies of each connection, for stories that need every word."""

from collections.abc import Callable
from typing import Any

import hiredis

from fleetcache.shared.scripts import SCRIPTS

__all__ = ["Eavesdropper"]

_SCRIPTS = {script.sha: name for name, script in SCRIPTS.items()}
_TEXTS = {script.text: name for name, script in SCRIPTS.items()}


class Eavesdropper:
    """Turns the bytes of one connection into lines of the story.

    Args:
        tell: Prints a line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._up, self._down = hiredis.Reader(), hiredis.Reader()

    def asked(self, data: bytes) -> None:
        """Tell the story the bytes sent to the server."""
        self._up.feed(data)
        while (words := self._up.gets()) is not False:
            shown = [_shown(word) for word in words] if isinstance(words, list) else [repr(words)]
            if shown[0] in {"EVALSHA", "EVAL"}:
                name = _SCRIPTS.get(shown[1]) or _TEXTS.get(words[1].decode(), "?")
                shown = [name, *shown[3:]]
            elif shown[0] == "SCRIPT":
                continue
            self._tell("  > " + " ".join(shown))

    def answered(self, data: bytes) -> None:
        """Tell the story the bytes sent by the server."""
        self._down.feed(data)
        while (frame := self._down.gets()) is not False:
            kind = "push" if isinstance(frame, hiredis.PushNotification) else "reply"
            self._tell(f"  < {kind} {_shown(frame)}")


def _shown(word: Any) -> str:
    if isinstance(word, list):
        return "[" + ", ".join(_shown(part) for part in word) + "]"
    if isinstance(word, bytes):
        if len(word) == 16:
            return word[:3].hex()
        if word[:1] in {b"L", b"V", b"C"} and len(word) >= 17:
            return f"{word[:1].decode()}:{word[1:4].hex()}" + (f"+{len(word) - 17}" if len(word) > 17 else "")
        text = word.decode(errors="replace")
        return text if len(text) < 60 and text.isprintable() else text[:20].split("\n")[0] + "..."
    return str(word)[:60]
