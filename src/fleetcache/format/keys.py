"""What may be a key or a tag, and where each stands on the server.

Every rule is checked before anything is sent, and the error says what was wrong. ``Layout`` is the only place that
knows how a name becomes a key of the server, and back.
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

# Far above any sensible key, far below what would delay everybody else on the connection.
MAX_KEY_BYTES: Final = 8192
# A tag's name is sent and stored with every entry that carries it.
MAX_TAG_BYTES: Final = 255
# Each tag is a version in the entry's header and one more key to read before a load.
MAX_TAGS: Final = 64
# The tag on every entry: removing it is `clear()`. Names that begin with it are ours.
ALL_TAG: Final = "*"

Target = tuple[str, str]
"""What a removal removes: ``("e", key)`` or ``("t", tag)``."""

ALL: Final[Target] = ("t", ALL_TAG)


def family_tag(namespace: str) -> str:
    """The internal tag on every entry of a namespace: removing it is that namespace's ``clear()``."""
    return ALL_TAG + namespace


def function_tag(family: str) -> str:
    """The internal tag on every result of a clearable function. No namespace begins with a ``*``, so none has it."""
    return 2 * ALL_TAG + family


def check_key(key: object) -> str:
    """The key, if it may be one: text, not empty, at most 8 KiB as UTF-8.

    Raises:
        KeyRuleError: says which rule it breaks.
    """
    # isascii() costs nothing, and then characters are bytes: the hot path.
    if type(key) is str and key.isascii() and 0 < len(key) <= MAX_KEY_BYTES:
        return key
    return _check_name(key, "key", MAX_KEY_BYTES)


def check_tag(tag: object) -> str:
    """The tag, if it may be one: as a key, at most 255 bytes, not beginning with ``*``.

    Raises:
        KeyRuleError: says which rule it breaks.
    """
    name = _check_name(tag, "tag", MAX_TAG_BYTES)
    if name.startswith(ALL_TAG):
        raise KeyRuleError(f'a tag may not begin with "*" (reserved for clear()): {_shown(name)}')
    return name


def check_namespace(name: object, parents: str = "") -> str:
    """The name of a namespace, if it may be one: its whole path, with a ``*``, is the tag that its ``clear()`` removes.

    A colon nests: ``a:b`` is the namespace ``b`` in ``a``.

    Raises:
        KeyRuleError: says which rule it breaks.
    """
    checked = _check_name(name, "namespace", MAX_TAG_BYTES)
    size = len(family_tag(parents + checked).encode())
    if size > MAX_TAG_BYTES:
        raise KeyRuleError(f"a namespace with its parents has at most {MAX_TAG_BYTES - 1} bytes, not {size - 1}")
    if checked.startswith(ALL_TAG):
        raise KeyRuleError(f'a namespace may not begin with "*" (reserved for clear()): {_shown(checked)}')
    if not all(checked.split(":")):
        raise KeyRuleError(f"a namespace has no empty part, and the colon behind it is ours: {_shown(checked)}")
    return checked


def check_tags(tags: object) -> tuple[str, ...]:
    """The tags, each checked, without repetitions, in their order; at most 64.

    Raises:
        KeyRuleError: one is not a tag, there are too many, or ``tags`` is a bare string.
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
        prefix: first part of every key, from ``CACHE_PREFIX``.

    Example:
        >>> Layout("shop").entry("users:1")
        b'shop:e:users:1'
        >>> Layout("shop").parse(b"shop:e:users:1")
        ('e', 'users:1')
    """

    __slots__ = ("_claim", "_entry", "_head", "_probe", "_tag", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._head = f"{prefix}:".encode()
        self._entry, self._claim, self._tag, self._probe = (self._head + kind for kind in (b"e:", b"c:", b"t:", b"p:"))

    def entry(self, key: str) -> bytes:
        """Where the entry, or the placeholder of who loads it, is."""
        return self._entry + key.encode()

    def claim(self, key: str) -> bytes:
        """Where the right to replace the entry is."""
        return self._claim + key.encode()

    def tag(self, tag: str) -> bytes:
        """Where the tag's version is."""
        return self._tag + tag.encode()

    def probe(self, name: str) -> bytes:
        """A key of this instance alone, to see whether pushes come."""
        return self._probe + name.encode()

    def parse(self, raw: bytes) -> tuple[str, str] | None:
        """Kind (``e c t p``) and name of a key of the server; ``None`` for keys that are not ours."""
        head = len(self._head)
        if not raw.startswith(self._head) or raw[head : head + 2] not in _KINDS or len(raw) == head + 2:
            return None
        try:
            return chr(raw[head]), raw[head + 2 :].decode()
        except UnicodeDecodeError:
            return None

    def __repr__(self) -> str:
        return f"Layout({self.prefix!r})"


_KINDS: Final = frozenset({b"e:", b"c:", b"t:", b"p:"})
# What an error shows of a long value: enough to recognise it.
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
    # Members of str enums and other subclasses become the plain text that they hold.
    return str.__str__(name)


def _shown(value: object) -> str:
    # ascii(): a lone surrogate in the message could not be logged.
    return _shortened(ascii(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
