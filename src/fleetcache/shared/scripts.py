"""The Lua scripts, and the command that reads or makes the version of a tag.

The texts are part of the format: every release of the fleet calls them by the SHA-1 of the same bytes.
"""

import hashlib
import os
from typing import Any

from msgspec import Struct

from ..format.keys import ALL_TAG, Layout
from ..wire.session import Command

__all__ = ["SCRIPTS", "TAG_KEPT_MS", "Script", "mint_command"]

TAG_KEPT_MS = 60 * 86_400_000
"""60 days in ms: twice the longest life of an entry (30 days). The script renews a tag's life when half has passed."""


class Script(Struct, frozen=True):
    """A script of the wire format. Each script touches one key."""

    name: str
    text: str
    sha: str

    def call(self, key: bytes, *args: bytes | int, whole: bool = False) -> Command:
        """Return the command; ``whole`` sends the text, once, to a server that has forgotten the script."""
        return ("EVAL" if whole else "EVALSHA", self.text if whole else self.sha, 1, key, *args)


def _load(name: str) -> Script:
    # Read by the module's own loader, which is always set; importlib.resources and pkgutil would cost another import.
    loader: Any = globals()["__loader__"]
    text = loader.get_data(os.path.join(os.path.dirname(__file__), "lua", f"{name}.lua")).decode()  # noqa: PTH118, PTH120 - as above
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {name: _load(name) for name in ("acquire", "swap", "put", "release", "renew", "mint", "add", "incr", "touch")}


def mint_command(layout: Layout, tag: str, version: bytes, *, whole: bool = False) -> Command:
    """Return the command that reads the version of a tag, or sets this version if the tag has none."""
    return SCRIPTS["mint"].call(layout.tag(tag), version, 0 if tag == ALL_TAG else TAG_KEPT_MS, whole=whole)
