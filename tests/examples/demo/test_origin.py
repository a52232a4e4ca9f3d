"""The demo's table of networks: its entries, all of reserved networks, so that it claims nothing about a real one."""

import ipaddress

import pytest

from examples.demo.origin import TABLE, Networks

RESERVED = [
    ipaddress.ip_network(each)
    for each in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32")
]


def listed() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(line.split()[0]) for line in TABLE.strip().splitlines()]


def test_all_networks_are_reserved_ones_and_none_is_listed_twice() -> None:
    networks = listed()
    for network in networks:
        assert any(network.version == each.version and network.subnet_of(each) for each in RESERVED)  # type: ignore[arg-type]
        assert [each for each in networks if each.version == network.version and each.overlaps(network)] == [network]


def test_an_address_is_found_with_all_that_is_known_of_it() -> None:
    assert Networks().lookup("198.18.5.6") == {
        "ip": "198.18.5.6",
        "country_code": "US",
        "country": "United States",
        "network": "198.18.0.0/18",
        "org": "Prairie Broadband",
    }


@pytest.mark.parametrize("ip", ["8.8.8.8", "10.1.2.3", "2001:4860:4860::8888", "2001:db8:f000::1"])
def test_an_address_of_another_network_is_nowhere(ip: str) -> None:
    assert Networks().lookup(ip) == {"ip": ip, "country_code": "", "country": "", "network": "", "org": ""}


def test_addresses_are_different_known_and_the_same_for_the_same_seed() -> None:
    networks = Networks()
    drawn = networks.addresses(3_000, seed=1)
    assert drawn == networks.addresses(3_000, seed=1) != networks.addresses(3_000, seed=2)
    assert len(set(drawn)) == 3_000
    assert all(networks.lookup(ip)["country_code"] for ip in drawn)
    assert 150 < sum(":" in ip for ip in drawn) < 450  # one in ten is IPv6
