"""Keyed signatures over stored entries, so that a program that can write to the server cannot forge an entry.

The first key signs, any key verifies. To rotate, put the new key in front, wait until old entries are gone, then drop
the old key.
"""

import hashlib
import hmac
from collections.abc import Sequence

from ..errors import ConfigError

__all__ = ["SIGNATURE_BYTES", "Signer"]

# 256 bits: forgeries and collisions are out of reach, and it is a quarter of the smallest entry worth signing.
SIGNATURE_BYTES = 32


class Signer:
    """Signs and verifies with keyed BLAKE2b.

    Args:
        keys: Secrets, newest first. ``settings`` checks their length; ``Signer`` only refuses missing or empty keys.

    Raises:
        ConfigError: There is no key, or a key is empty.

    Example:
        >>> signer = Signer((b"k" * 32,))
        >>> signer.verify(b"users:1", b"data", signer.sign(b"users:1", b"data"))
        True
    """

    __slots__ = ("_keyed",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or not all(keys):
            raise ConfigError("a signer needs at least one signing key, and none may be empty")
        # BLAKE2b takes keys of up to 64 bytes; hashing first allows longer keys. Each use copies a keyed state.
        self._keyed = tuple(
            hashlib.blake2b(key=hashlib.blake2b(key).digest(), digest_size=SIGNATURE_BYTES, person=b"fleetcache")
            for key in keys
        )

    def sign(self, context: bytes, data: bytes) -> bytes:
        """Return the signature (32 bytes) of ``data``, bound to its ``context``, such as the cache key."""
        return _digest(self._keyed[0], context, data)

    def verify(self, context: bytes, data: bytes, signature: bytes) -> bool:
        """Return True if any of the keys made this signature. The time taken does not depend on which byte differs."""
        return any(hmac.compare_digest(_digest(keyed, context, data), signature) for keyed in self._keyed)

    def __repr__(self) -> str:
        return f"<Signer keys={len(self._keyed)}>"


def _digest(keyed: "hashlib.blake2b", context: bytes, data: bytes) -> bytes:
    state = keyed.copy()
    # The length before the context fixes where the context ends and the data begins: no two pairs give one stream.
    state.update(len(context).to_bytes(8, "big"))
    state.update(context)
    state.update(data)
    return state.digest()
