"""Keys that frameworks make of untrusted requests: any text becomes a key that the cache accepts."""

from hashlib import blake2b

__all__ = ["MAX_KEY_LENGTH", "any_key"]

MAX_KEY_LENGTH = 1000
"""Characters; far longer than keys that people choose. A longer key is replaced by its shorter digest, as unique."""

# Prefix of a digest. A key that has this prefix itself is digested too, so that no request can forge another's key.
_MARK = "digest:"


def any_key(key: str, longest: int = MAX_KEY_LENGTH) -> str:
    """Return the key itself, or its digest if the key is empty, too long, or cannot be encoded as UTF-8.

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
