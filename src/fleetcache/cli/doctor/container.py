"""The memory that this process may take: the limit of its control group (version 1 or 2), else the machine's memory."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Limit", "memory_limit"]

# Version 1 has no word for "no limit": it shows the largest number of whole pages instead, just under 2^63 bytes.
V1_NONE = 2**60


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of bytes, and the source of the number."""

    bytes: int
    source: str


def memory_limit(root: Path = Path("/")) -> Limit | None:
    """Return the smallest limit that holds for this process; ``None`` if no limit can be found out.

    Args:
        root: The folder that has ``proc`` and ``sys``.

    Example:
        >>> memory_limit(Path("/nowhere")) is None
        True
    """
    found = [limit for limit in _groups(root) if limit is not None]
    if found:
        return min(found, key=lambda limit: limit.bytes)
    return _machine() if root == Path("/") else None


def _groups(root: Path) -> Iterator[Limit | None]:
    base = root / "sys/fs/cgroup"
    with suppress(OSError, UnicodeDecodeError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers == "":
                yield _smallest(base, path, "memory.max", "cgroup v2")
            elif "memory" in controllers.split(","):
                yield _smallest(base / "memory", path, "memory.limit_in_bytes", "cgroup v1")


def _smallest(base: Path, path: str, name: str, source: str) -> Limit | None:
    """Groups nest, and each may have a limit. In a container the path often exists only for the host."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    numbers = [_number(base.joinpath(*parts[:depth]) / name) for depth in range(len(parts) + 1)]
    limits = [number for number in numbers if number is not None and number < V1_NONE]
    return Limit(min(limits), source) if limits else None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):  # "max" means no limit, and is no number
        return int(path.read_text())
    return None


def _machine() -> Limit | None:
    with suppress(ValueError, OSError):
        return Limit(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "memory of this machine")
    return None
