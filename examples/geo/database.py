"""The real database behind the origin: geoip2fast's, by the two questions that the example asks.

The only file that knows geoip2fast. Import it in the origin process alone: the package is untyped, sets
``PYTHONWARNINGS`` for every child of the process that imports it, and looks for its file in the current folder first.
"""

import ipaddress
import random
from pathlib import Path
from typing import Any

import geoip2fast

from .origin import Record

# Countries and network owners, IPv4 and IPv6. By full path: a file of that name in the current folder is another one.
_FILE = Path(geoip2fast.__file__).with_name("geoip2fast-asn-ipv6.dat.gz")
_FIRST, _LAST = int(ipaddress.IPv4Address("1.0.0.0")), int(ipaddress.IPv4Address("223.255.255.255"))
_IPV6_SHARE = 10  # one address in ten is IPv6: enough to have colons in keys, few enough to look like a server's log


class GeoIP:
    """The places of addresses. Loading takes about 0.3 s and 60 MB."""

    def __init__(self) -> None:
        self._geo: Any = geoip2fast.GeoIP2Fast(geoip2fast_data_file=str(_FILE))

    def lookup(self, ip: str) -> Record:
        """Return the record of an address.

        Args:
            ip: An IPv4 or IPv6 address, valid.
        """
        found = self._geo.lookup(ip)
        if not found.cidr or found.is_private:
            return Record(ip=ip, country_code="", country="", network="", org="")
        return Record(
            ip=ip,
            country_code=found.country_code,
            country=found.country_name,
            network=found.asn_cidr or found.cidr,
            org=found.asn_name,
        )

    def addresses(self, count: int, seed: int) -> list[str]:
        """Draw different addresses from the public networks in the database; equal ones for equal seeds."""
        rng = random.Random(seed)
        random.seed(seed)  # the package draws IPv6 addresses with the global generator
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            if rng.randrange(_IPV6_SHARE):
                ip = str(ipaddress.IPv4Address(rng.randint(_FIRST, _LAST)))
            else:
                ip = str(ipaddress.ip_address(self._geo.generate_random_ipv6_address()))
            if self.lookup(ip)["country_code"]:
                drawn[ip] = None
        return list(drawn)
