"""The addresses that the scene asks for: drawn by a Zipf law, or the lines of a file."""

import gzip
import io
import ipaddress
import itertools
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .plan import SceneError

__all__ = ["from_file", "zipf"]

_EXPONENT = 1.0  # the nth most frequent client comes 1/n times as often as the first, about as in access logs
_GZIP = b"\x1f\x8b"
_SHOWN = 60  # characters of a bad line: enough to find it
_LONGEST_LINE = 1_000  # bytes: no address is as long, and a file without line ends should not fill the memory


def zipf(addresses: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw ``count`` requests; the first address is the most frequent.

    Args:
        addresses: The addresses to draw from.
        count: The number of requests.
        seed: Equal seeds give equal requests.
    """
    weights = itertools.accumulate(1 / rank**_EXPONENT for rank in range(1, len(addresses) + 1))
    return random.Random(seed).choices(addresses, cum_weights=list(weights), k=count)


def from_file(path: Path, count: int) -> list[str]:
    """Read the first ``count`` requests of a file: one address a line, plain or gzip. Empty lines do not count.

    A shorter file is read again, as often as needed.

    Raises:
        SceneError: The file cannot be read, a line in it is not an address, or it has none.
    """
    try:
        with _opened(path) as lines:
            addresses = list(itertools.islice(_addresses(path, lines), count))
    except (OSError, EOFError, zlib.error) as error:
        raise SceneError(f"cannot read addresses from {path}: {error}") from error
    if not addresses:
        raise SceneError(f"no address in {path}: expected one a line, plain or gzip")
    return list(itertools.islice(itertools.cycle(addresses), count))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        zipped = file.peek(len(_GZIP)).startswith(_GZIP)
        yield io.BufferedReader(gzip.GzipFile(fileobj=file)) if zipped else file


def _addresses(path: Path, lines: BinaryIO) -> Iterator[str]:
    for number in itertools.count(1):
        if not (line := lines.readline(_LONGEST_LINE)):
            return
        if text := line.decode(errors="replace").strip():
            try:
                yield str(ipaddress.ip_address(text))
            except ValueError:
                shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
                raise SceneError(
                    f"{path}, line {number}: {shown!r} is not an IP address; expected one a line"
                ) from None
