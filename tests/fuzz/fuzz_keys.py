"""Keys, tags and namespaces: any text is accepted or refused, and an accepted one comes back from the server."""

from contextlib import suppress
from typing import Any

from fleetcache.errors import KeyRuleError
from fleetcache.format.keys import (
    MAX_KEY_BYTES,
    MAX_TAG_BYTES,
    Layout,
    check_key,
    check_namespace,
    check_tag,
    check_tags,
)
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 150, 4)]) for way in range(10)]
WORDS = (
    "a",
    ":",
    "*",
    "**",
    "e:",
    "t:",
    "p:",
    "é",
    "\ud800",
    "\0",
    "\n",
    " ",
    "{",
    "}",
    "𝄞",
    "a:b",
    "x" * 250,
    "x" * 8000,
)
ODD: tuple[Any, ...] = (
    None,
    5,
    b"key",
    1.5,
    [],
    ("a", 5),
    {"a": 1},
    {"a"},
    ["a"] * 100,
    [str(n) for n in range(65)],
    object(),
)


def one_input(data: bytes) -> None:
    """Use one name in each possible place."""
    source = Source(data)
    name: Any = source.pick(ODD) if source.chance(6) else source.text(WORDS)
    layout = Layout(source.pick(("p", "a:b", "é")))
    with suppress(KeyRuleError):
        key = check_key(name)
        assert 0 < len(key.encode()) <= MAX_KEY_BYTES
        assert layout.parse(layout.entry(key)) == ("e", key)
        assert layout.parse(layout.claim(key)) == ("c", key)
    with suppress(KeyRuleError):
        tag = check_tag(name)
        assert 0 < len(tag.encode()) <= MAX_TAG_BYTES
        assert layout.parse(layout.tag(tag)) == ("t", tag)
    with suppress(KeyRuleError):
        assert len(check_namespace(name, source.pick(("", "outer:"))).encode()) < MAX_TAG_BYTES
    with suppress(KeyRuleError):
        tags = check_tags(name if source.byte() % 2 else [name, *(source.text(WORDS) for _ in range(source.below(4)))])
        assert len(set(tags)) == len(tags) <= 64
    raw = source.pick((b"p:", b"p:e:", b"p:t:", b"a:b:c:", b"")) + source.rest()
    found = layout.parse(raw)
    assert found is None or raw.endswith(b":" + found[1].encode())
