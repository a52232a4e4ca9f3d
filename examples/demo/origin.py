"""The demo's origin: that of ``examples/geo``, answering from a table of networks. All owners are invented.

No host on the internet has an address in these networks, so that the table claims nothing about a real one: they are
for documentation (RFC 5737, RFC 3849) and for benchmarks (RFC 2544). A real database is ten times the size of the demo.
"""

import ipaddress
import random
from collections.abc import Sequence
from typing import NamedTuple

from examples.geo.origin import Record, serve

__all__ = ["TABLE", "Networks"]

_IPV6_SHARE = 10  # one address in ten is IPv6: enough to have colons in keys, few enough to look like a server's log

TABLE = """
192.0.2.0/25        DE  Germany         Alster Hosting
192.0.2.128/25      AT  Austria         Donau Net
198.51.100.0/24     CH  Switzerland     Matterhorn Cloud
203.0.113.0/24      JP  Japan           Fuji Telecom
198.18.0.0/18       US  United States   Prairie Broadband
198.18.64.0/18      BR  Brazil          Ipanema Fibra
198.18.128.0/19     IN  India           Ganges Mobile
198.18.160.0/19     KE  Kenya           Rift Valley Wireless
198.18.192.0/18     FR  France          Loire Telecom
198.19.0.0/17       GB  United Kingdom  Severn Internet
198.19.128.0/18     CA  Canada          Maple Cable
198.19.192.0/18     AU  Australia       Outback Satellite
2001:db8:1000::/36  NL  Netherlands     Polder Exchange
2001:db8:2000::/36  SE  Sweden          Aurora Bredband
2001:db8:3000::/36  ZA  South Africa    Table Mountain ISP
2001:db8:4000::/36  US  United States   Prairie Broadband
"""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Owned(NamedTuple):
    network: _Network
    country_code: str
    country: str
    org: str


class Networks:
    """The origin's database.

    Args:
        table: One network a line: its range, the code and the name of its country, its owner; two spaces between.
    """

    def __init__(self, table: str = TABLE) -> None:
        self._owned = [_owned(line) for line in table.strip().splitlines()]

    def lookup(self, ip: str) -> Record:
        """Return the record of an address.

        Args:
            ip: An IPv4 or IPv6 address, valid.
        """
        address = ipaddress.ip_address(ip)
        for owned in self._owned:
            if address in owned.network:
                return Record(
                    ip=ip,
                    country_code=owned.country_code,
                    country=owned.country,
                    network=str(owned.network),
                    org=owned.org,
                )
        return Record(ip=ip, country_code="", country="", network="", org="")

    def addresses(self, count: int, seed: int) -> list[str]:
        """Draw different addresses from the networks of the table; equal ones for equal seeds."""
        rng = random.Random(seed)
        fours = [owned.network for owned in self._owned if owned.network.version == 4]  # noqa: PLR2004 - of the protocol
        sixes = [owned.network for owned in self._owned if owned.network.version != 4]  # noqa: PLR2004 - as above
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            drawn[_draw(rng, fours if rng.randrange(_IPV6_SHARE) else sixes)] = None
        return list(drawn)


def _owned(line: str) -> _Owned:
    network, code, *words = (word.strip() for word in line.split("  ") if word.strip())
    country, org = words
    return _Owned(ipaddress.ip_network(network), code, country, org)


def _draw(rng: random.Random, networks: Sequence[_Network]) -> str:
    network = rng.choice(networks)
    return str(network[rng.randrange(network.num_addresses)])


if __name__ == "__main__":
    serve(Networks())
