"""Pickle with one protocol for all releases, which keeps the zone of an IPv6 address."""

import ipaddress
import pickle
import pickletools

import pytest

from fleetcache.format.pickling import dumps, loads


@pytest.mark.parametrize("text", ["fe80::1%eth0", "::1"])
def test_an_address_keeps_its_zone(text: str) -> None:
    address = ipaddress.ip_address(text)
    (back,) = loads(dumps([address]))
    assert (back, str(back), type(back)) == (address, text, ipaddress.IPv6Address)


def test_an_address_goes_as_its_text() -> None:
    """Python 3.11.2 loses the zone of an address that it pickles itself."""
    texts = [argument for _, argument, _ in pickletools.genops(dumps(ipaddress.ip_address("fe80::1%eth0")))]
    assert "fe80::1%eth0" in texts


def test_the_protocol_is_the_same_on_each_python() -> None:
    first, protocol, _ = next(pickletools.genops(dumps({1})))
    assert (first.name, protocol) == ("PROTO", 5)


@pytest.mark.parametrize("view", [bytes, memoryview])
def test_other_values_are_read_from_bytes_and_views(view: type[bytes] | type[memoryview]) -> None:
    value = {"a": [1, (2, b"x")], "b": {3}}
    assert loads(view(dumps(value))) == value
    assert pickle.loads(dumps(value)) == value  # noqa: S301 - our own bytes
