"""Addresses: any text is read as a URL or refused, in time, and a possible password is never shown."""

import traceback

from fleetcache.config.url import Address, redact
from fleetcache.errors import ConfigError
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(1, 230, 6)]) for way in range(12)]
SECRET = "hunter2hunter2"  # noqa: S105 - stands for a password
SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://", "http://", "", "redis:/", "REDIS://")
WORDS = (
    "localhost", ":", ":6379", ":0", "@", "/", "/0", "//", "[", "]", "[::1]", "[fe80::1%25eth0]", "?db=3", "&",
    "ssl_cert_reqs=none", "=",
    "ssl_ca_certs=/x", "#", "%", "%40", "%FF", "%00", ".", "..", "xn--", "a" * 63, "é", "ß", "\u3002",
    "\u2100", "\u0663", "\ud800", " ", "\0",
    "-", "_", "1", "127.0.0.1", ",", "\n", "\u0345", "\u05d0", "\u00ad",
)  # fmt: skip


def one_input(data: bytes) -> None:
    """Read one URL with a secret in the place of the password."""
    source = Source(data)
    start = source.pick(SCHEMES) + (source.text(WORDS) if source.chance(3) else "")
    url = start + (f"{source.text(WORDS)}:{SECRET}@" if source.byte() % 2 else "") + source.text(WORDS)
    assert len(redact(url)) <= 200
    try:
        address = Address.parse(url)
    except ConfigError as error:
        said = "".join(traceback.format_exception(error))
        assert len(str(error)) < 3_000  # noqa: PT017 - reading it is right too; 200 characters are shown, some of them as ten
        assert SECRET not in said or SECRET not in url
        return
    assert SECRET not in repr(address)
    again = Address.parse(address.safe)
    assert (again.kind, again.host, again.port, again.path, again.db) == (
        address.kind,
        address.host,
        address.port,
        address.path,
        address.db,
    )
    assert 1 <= address.port <= 65_535
    address.host.encode("idna")
