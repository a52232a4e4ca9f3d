"""Signatures: any bytes may be offered, and only the right ones are accepted."""

from fleetcache.format.signing import Signer
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 120, 3)]) for way in range(4)]


def one_input(data: bytes) -> None:
    """Check one signature: right, spoilt, of other bytes, by another key."""
    source = Source(data)
    old, new = b"o" + source.blob(), b"n" + source.blob()
    context, said = source.blob(), source.blob()
    signer, before = Signer((new, old)), Signer((old,))
    signature = signer.sign(context, said)
    assert signer.verify(context, said, signature)
    assert signer.verify(context, said, before.sign(context, said))
    assert not before.verify(context, said, signature)
    other = source.spoilt(signature)
    assert signer.verify(context, said, other) == (other == signature)
    other_context, other_said = source.spoilt(context), source.spoilt(said)
    assert signer.verify(other_context, other_said, signature) == ((other_context, other_said) == (context, said))
    assert not signer.verify(context, said, source.rest()[:31])
