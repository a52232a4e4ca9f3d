"""A process without a key cannot make an accepted entry, and keys can be rotated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.errors import ConfigError
from fleetcache.format.signing import SIGNATURE_BYTES, Signer

OLD, NEW = b"o" * 32, b"n" * 100


def test_what_was_signed_verifies() -> None:
    signer = Signer((NEW,))
    signature = signer.sign(b"users:1", b"data")
    assert len(signature) == SIGNATURE_BYTES
    assert signer.verify(b"users:1", b"data", signature)


def test_after_rotation_old_entries_still_verify_and_new_ones_are_signed_with_the_new_key() -> None:
    rotated = Signer((NEW, OLD))
    assert rotated.verify(b"k", b"d", Signer((OLD,)).sign(b"k", b"d"))
    assert Signer((NEW,)).verify(b"k", b"d", rotated.sign(b"k", b"d"))
    assert not Signer((OLD,)).verify(b"k", b"d", rotated.sign(b"k", b"d"))


@given(st.binary(), st.binary(), st.integers(0, SIGNATURE_BYTES * 8 - 1))
def test_one_changed_bit_is_seen(context: bytes, data: bytes, bit: int) -> None:
    signer = Signer((OLD,))
    signature = bytearray(signer.sign(context, data))
    signature[bit // 8] ^= 1 << bit % 8
    assert not signer.verify(context, data, bytes(signature))


@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_two_pairs_never_share_a_signature(context: bytes, data: bytes, context2: bytes, data2: bytes) -> None:
    signer = Signer((OLD,))
    same = signer.sign(context, data) == signer.sign(context2, data2)
    assert same == ((context, data) == (context2, data2))


@given(st.binary(min_size=1), st.integers(0))
def test_moving_the_border_between_context_and_data_is_seen(whole: bytes, cut: int) -> None:
    signer = Signer((OLD,))
    cut %= len(whole)
    assert not signer.verify(whole, b"", signer.sign(whole[:cut], whole[cut:]))


@pytest.mark.parametrize("signature", [b"", b"short", b"x" * 33])
def test_a_signature_of_another_length_is_wrong_and_no_error(signature: bytes) -> None:
    assert not Signer((OLD,)).verify(b"k", b"d", signature)


@pytest.mark.parametrize("keys", [(), (b"",), (OLD, b"")])
def test_a_signer_needs_keys(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ConfigError):
        Signer(keys)


def test_its_repr_shows_no_key() -> None:
    assert repr(Signer((OLD, NEW))) == "<Signer keys=2>"
