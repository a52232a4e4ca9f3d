"""Keys that frameworks make of what strangers send: any text becomes one that the cache takes."""

from hashlib import blake2b

__all__ = ["MAX_KEY_LENGTH", "any_key"]

MAX_KEY_LENGTH = 1000
"""Characters; far above what people choose. Longer ones are kept by their digest, as good and lighter to carry."""

# Begins what is a digest. A key that begins so itself becomes one too, so that no key can be made to meet another's.
_MARK = "digest:"


def any_key(key: str, longest: int = MAX_KEY_LENGTH) -> str:
    """The key itself, or its digest if it is empty, too long, or no text that has bytes.

    Example:
        >>> any_key("GET/users?page=2"), len(any_key("x" * 70_000))
        ('GET/users?page=2', 71)
    """
    if 0 < len(key) <= longest and not key.startswith(_MARK) and (key.isascii() or _is_text(key)):
        return key
    return _MARK + blake2b(key.encode(errors="surrogatepass"), digest_size=32).hexdigest()


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
