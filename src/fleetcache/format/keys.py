"""Rules for keys, tags and namespaces, and their names on the server.

Every rule is checked before anything is sent, and the error names the broken rule. Only ``Layout`` converts a name to a
key on the server, and back.
"""

from collections.abc import Iterable
from typing import Final

from ..errors import KeyRuleError

__all__ = [
    "ALL",
    "ALL_TAG",
    "MAX_KEY_BYTES",
    "MAX_TAGS",
    "MAX_TAG_BYTES",
    "Layout",
    "Target",
    "check_key",
    "check_namespace",
    "check_tag",
    "check_tags",
    "family_tag",
    "function_tag",
]

# Far above any sensible key, far below a size that would delay the other callers on the connection.
MAX_KEY_BYTES: Final = 8192
# A tag's name is sent and stored with every entry that carries it.
MAX_TAG_BYTES: Final = 255
# Each tag adds a version to the entry's header, and another key to read before a load.
MAX_TAGS: Final = 64
# The tag on every entry: `clear()` removes it. Names that begin with it are reserved.
ALL_TAG: Final = "*"

Target = tuple[str, str]
"""The target of a removal: ``("e", key)`` or ``("t", tag)``."""

ALL: Final[Target] = ("t", ALL_TAG)


def family_tag(namespace: str) -> str:
    """Return the internal tag on every entry of a namespace: the namespace's ``clear()`` removes it."""
    return ALL_TAG + namespace


def function_tag(family: str) -> str:
    """Return the internal tag on every result of a clearable function.

    No namespace begins with a ``*``, so this is never the tag of a namespace.
    """
    return 2 * ALL_TAG + family


def check_key(key: object) -> str:
    """Return the key if it is valid: text, not empty, at most 8 KiB as UTF-8.

    Raises:
        KeyRuleError: The key breaks a rule, which the error names.
    """
    # isascii() costs nothing, and then characters are bytes: the hot path.
    if type(key) is str and key.isascii() and 0 < len(key) <= MAX_KEY_BYTES:
        return key
    return _check_name(key, "key", MAX_KEY_BYTES)


def check_tag(tag: object) -> str:
    """Return the tag if it is valid: text, not empty, at most 255 bytes as UTF-8, not beginning with ``*``.

    Raises:
        KeyRuleError: The tag breaks a rule, which the error names.
    """
    name = _check_name(tag, "tag", MAX_TAG_BYTES)
    if name.startswith(ALL_TAG):
        raise KeyRuleError(f'a tag may not begin with "*" (reserved for clear()): {_shown(name)}')
    return name


def check_namespace(name: object, parents: str = "") -> str:
    """Return the name of a namespace if it is valid: its whole path, with a ``*``, must be a valid internal tag.

    The namespace's ``clear()`` removes that tag. A colon nests: ``a:b`` is the namespace ``b`` in ``a``.

    Raises:
        KeyRuleError: The name breaks a rule, which the error names.
    """
    checked = _check_name(name, "namespace", MAX_TAG_BYTES)
    size = len(family_tag(parents + checked).encode())
    if size > MAX_TAG_BYTES:
        raise KeyRuleError(f"a namespace with its parents has at most {MAX_TAG_BYTES - 1} bytes, not {size - 1}")
    if checked.startswith(ALL_TAG):
        raise KeyRuleError(f'a namespace may not begin with "*" (reserved for clear()): {_shown(checked)}')
    if not all(checked.split(":")):
        raise KeyRuleError(f"a namespace has no empty part, and the cache adds the colon after it: {_shown(checked)}")
    return checked


def check_tags(tags: object) -> tuple[str, ...]:
    """Return the tags, each checked, without repetitions, in their order; at most 64.

    Raises:
        KeyRuleError: A tag is invalid, there are too many, or ``tags`` is a bare string.
    """
    if isinstance(tags, str):
        raise KeyRuleError(f'tags is a collection of tags, not one string: write tags=("{_shortened(tags)}",)')
    if not isinstance(tags, Iterable) or isinstance(tags, bytes):
        raise KeyRuleError(f'tags is a collection of tags, such as tags=("geo",), not {_shown(tags)}')
    checked = tuple(dict.fromkeys(check_tag(tag) for tag in tags))
    if len(checked) > MAX_TAGS:
        raise KeyRuleError(f"an entry has at most {MAX_TAGS} tags, not {len(checked)}")
    return checked


class Layout:
    """Names of one deployment <-> keys of the server.

    Args:
        prefix: First part of every key, from ``CACHE_PREFIX``.

    Example:
        >>> Layout("shop").entry("users:1")
        b'shop:e:users:1'
        >>> Layout("shop").parse(b"shop:e:users:1")
        ('e', 'users:1')
    """

    __slots__ = ("_claim", "_entry", "_head", "_probe", "_second", "_tag", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._head = f"{prefix}:".encode()
        self._entry, self._claim, self._second, self._tag, self._probe = (
            self._head + kind for kind in (b"e:", b"c:", b"s:", b"t:", b"p:")
        )

    def entry(self, key: str) -> bytes:
        """Return the server's key of the entry, or of the placeholder while a process loads the value."""
        return self._entry + key.encode()

    def claim(self, key: str) -> bytes:
        """Return the server's key of the claim, the right to replace the entry."""
        return self._claim + key.encode()

    def second(self, key: str) -> bytes:
        """Return the server's key of the right to load beside a load that takes longer than ``load_wait``."""
        return self._second + key.encode()

    def tag(self, tag: str) -> bytes:
        """Return the server's key of the tag's version."""
        return self._tag + tag.encode()

    def probe(self, name: str) -> bytes:
        """Return a key that only this instance uses, to test whether invalidation pushes arrive."""
        return self._probe + name.encode()

    def parse(self, raw: bytes) -> tuple[str, str] | None:
        """Return kind (``e c s t p``) and name of a server's key; ``None`` for keys outside this layout."""
        head = len(self._head)
        if not raw.startswith(self._head) or raw[head : head + 2] not in _KINDS or len(raw) == head + 2:
            return None
        try:
            return chr(raw[head]), raw[head + 2 :].decode()
        except UnicodeDecodeError:
            return None

    def __repr__(self) -> str:
        return f"Layout({self.prefix!r})"


_KINDS: Final = frozenset({b"e:", b"c:", b"s:", b"t:", b"p:"})
# Characters of a long value in an error: enough to recognise the value.
_SHOWN_CHARACTERS: Final = 60


def _check_name(name: object, what: str, max_bytes: int) -> str:
    if not isinstance(name, str):
        raise KeyRuleError(f"a {what} is a str, not {type(name).__name__}: {_shown(name)}")
    if not name:
        raise KeyRuleError(f"a {what} may not be empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise KeyRuleError(
            f"a {what} must be valid Unicode; character {error.start} is a lone surrogate: {_shown(name)}"
        ) from None
    if size > max_bytes:
        raise KeyRuleError(f"a {what} has at most {max_bytes} bytes as UTF-8, not {size}: {_shown(name)}")
    # Members of str enums and instances of other subclasses become their plain text.
    return str.__str__(name)


def _shown(value: object) -> str:
    # ascii(): a lone surrogate in the message could not be logged.
    return _shortened(ascii(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
