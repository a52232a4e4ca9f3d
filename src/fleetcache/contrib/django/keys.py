"""Django's keys as ours: theirs may be any text, ours are not empty, can be encoded, and are kept in many copies."""

import hashlib
from typing import Any, Final

from django.core.cache.backends.base import MEMCACHE_MAX_KEY_LENGTH

__all__ = ["named", "short"]

# In front of the digest that a key becomes which our rules refuse, or which is longer than Django itself advises.
_MARK: Final = "#"
_LONGEST_PREFIX: Final = 32  # characters; longer than people choose, and short for what every entry carries


def named(key: Any) -> Any:
    """Django's key as one of ours. No two become one: what begins with the mark is a digest, or becomes one."""
    if not isinstance(key, str):
        return key  # KEY_FUNCTION made it; the verbs say what is wrong with it
    plain = 0 < len(key) <= MEMCACHE_MAX_KEY_LENGTH and not key.startswith(_MARK)
    return key if plain and (key.isascii() or _is_text(key)) else _MARK + _digest(key)


def _is_text(key: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in key)


def short(prefix: str) -> str:
    """A KEY_PREFIX for the name of a tag."""
    return prefix if len(prefix) <= _LONGEST_PREFIX and _is_text(prefix) else _MARK + _digest(prefix)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=32).hexdigest()
