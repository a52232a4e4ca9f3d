"""The addresses that the scene asks for: drawn by a Zipf law, or as they stand in a file."""

import gzip
import ipaddress
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

from examples.geo.processes import SceneError

_EXPONENT = 1.0  # the nth most frequent client is seen 1/n times as often as the first: about what access logs show
_GZIP = b"\x1f\x8b"


def zipf(addresses: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw ``count`` requests; the first address is the most frequent.

    Args:
        addresses: What to draw from.
        count: How many requests.
        seed: The same one gives the same requests.
    """
    weights = itertools.accumulate(1 / rank**_EXPONENT for rank in range(1, len(addresses) + 1))
    return random.Random(seed).choices(addresses, cum_weights=list(weights), k=count)


def from_file(path: Path) -> list[str]:
    """Read requests from a file: one address a line, plain or gzip. Other lines (host names) are left out.

    Raises:
        SceneError: There is no such file, or no address in it.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(_GZIP) else content).decode(errors="replace")
    except OSError as error:
        raise SceneError(f"cannot read addresses from {path}: {error}") from error
    addresses = [ip for line in text.splitlines() if (ip := _address(line.strip()))]
    if not addresses:
        raise SceneError(f"no address in {path}: expected one a line, plain or gzip")
    return addresses


def _address(line: str) -> str | None:
    try:
        return str(ipaddress.ip_address(line))
    except ValueError:
        return None
