"""Keys that frameworks make of what strangers send: any text becomes one that the cache takes."""

from hashlib import blake2b

__all__ = ["any_key"]

# Far above what people choose; longer ones are kept by their digest, which is as good and travels lighter.
_LONGEST = 1000
# Begins what is a digest. A key that begins so itself becomes one too, so that no key can be made to meet another's.
_MARK = "digest:"


def any_key(key: str) -> str:
    """The key itself, or its digest if it is empty, too long, or no text that has bytes.

    Example:
        >>> any_key("GET/users?page=2"), len(any_key("x" * 70_000))
        ('GET/users?page=2', 71)
    """
    raw = key.encode(errors="surrogatepass")
    if 0 < len(raw) <= _LONGEST and not key.startswith(_MARK) and (key.isascii() or _is_text(key)):
        return key
    return _MARK + blake2b(raw, digest_size=32).hexdigest()


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
