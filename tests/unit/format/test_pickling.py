"""Pickle with one protocol for all releases, which keeps the zone of an IPv6 address."""

import ipaddress
import pickle
import pickletools
from typing import Any, Literal

import pytest

from fleetcache.errors import CodecError
from fleetcache.format.pickling import decode, encode


def pickled(value: object) -> bytes:
    payload, _ = encode(value, Any)
    return payload


@pytest.mark.parametrize("text", ["fe80::1%eth0", "::1"])
def test_an_address_keeps_its_zone(text: str) -> None:
    address = ipaddress.ip_address(text)
    (back,) = decode(pickled([address]), Any)
    assert (back, str(back), type(back)) == (address, text, ipaddress.IPv6Address)


def test_an_address_goes_as_its_text() -> None:
    """Python 3.11.2 loses the zone of an address that it pickles itself."""
    texts = [argument for _, argument, _ in pickletools.genops(pickled(ipaddress.ip_address("fe80::1%eth0")))]
    assert "fe80::1%eth0" in texts


def test_the_protocol_is_the_same_on_each_python() -> None:
    first, protocol, _ = next(pickletools.genops(pickled({1})))
    assert (first.name, protocol) == ("PROTO", 5)


@pytest.mark.parametrize("view", [bytes, memoryview])
def test_other_values_are_read_from_bytes_and_views(view: type[bytes] | type[memoryview]) -> None:
    value = {"a": [1, (2, b"x")], "b": {3}}
    assert decode(view(pickled(value)), Any) == value
    assert pickle.loads(pickled(value)) == value  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("value", "declared", "fits"),
    [
        (1, int, True),
        ("1", int, False),
        (1, float, True),
        (None, int | None, True),
        ("x", int | None, False),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        ([1], list[str], True),  # only the outermost type counts
        ({1}, Any, True),
        ({1}, object, True),
    ],
)
def test_a_value_of_another_type_is_refused_when_written_and_when_read(
    value: object, declared: Any, fits: bool
) -> None:
    payload = pickled(value)
    if fits:
        assert encode(value, declared) == (payload, value)
        assert decode(payload, declared) == value
        return
    with pytest.raises(CodecError, match=r"^expected .*, got"):
        encode(value, declared)
    with pytest.raises(CodecError, match=r"^expected .*, got"):
        decode(payload, declared)
