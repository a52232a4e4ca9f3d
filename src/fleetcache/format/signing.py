"""Keyed signatures over what is stored, so that nobody who can write to the server can forge an entry.

The first key signs, any key verifies: put the new key in front, wait until old entries are gone, drop the old one.
"""

import hashlib
import hmac
from collections.abc import Sequence

from ..errors import ConfigError

__all__ = ["SIGNATURE_BYTES", "Signer"]

# 256 bits: no forgery and no collision within reach, and a quarter of the smallest entry worth signing.
SIGNATURE_BYTES = 32


class Signer:
    """Signs and verifies with keyed BLAKE2b.

    Args:
        keys: secrets, newest first. ``settings`` sees to their length; here they only must not be missing or empty.

    Raises:
        ConfigError: no key, or an empty one.

    Example:
        >>> signer = Signer((b"k" * 32,))
        >>> signer.verify(b"users:1", b"data", signer.sign(b"users:1", b"data"))
        True
    """

    __slots__ = ("_keyed",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or not all(keys):
            raise ConfigError("a signer needs at least one signing key, and none may be empty")
        # BLAKE2b takes keys of up to 64 bytes; hashing first lets them be longer. A keyed state is copied for each use.
        self._keyed = tuple(
            hashlib.blake2b(key=hashlib.blake2b(key).digest(), digest_size=SIGNATURE_BYTES, person=b"fleetcache")
            for key in keys
        )

    def sign(self, context: bytes, data: bytes) -> bytes:
        """The signature (32 bytes) of ``data`` where ``context`` says what it is for (cache key, codec, version)."""
        return _digest(self._keyed[0], context, data)

    def verify(self, context: bytes, data: bytes, signature: bytes) -> bool:
        """Whether any of the keys made this signature; takes the same time whichever byte differs."""
        return any(hmac.compare_digest(_digest(keyed, context, data), signature) for keyed in self._keyed)

    def __repr__(self) -> str:
        return f"<Signer keys={len(self._keyed)}>"


def _digest(keyed: "hashlib.blake2b", context: bytes, data: bytes) -> bytes:
    state = keyed.copy()
    # The length in front of the context fixes where it ends, and so where data begins: no two pairs give one stream.
    state.update(len(context).to_bytes(8, "big"))
    state.update(context)
    state.update(data)
    return state.digest()
