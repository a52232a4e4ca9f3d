"""What the demo needs, looked for before any of it is imported or started.

Standard library only: this must be able to say what is missing.
"""

import importlib.util
import os

__all__ = ["SceneError", "check_needs"]

_PACKAGES = ("httpx", "prometheus_client", "starlette", "uvicorn")


class SceneError(RuntimeError):
    """The scene cannot be set up; says what is missing and what to do."""


def check_needs() -> None:
    """Look for the packages that ``make demo`` installs. The server has a look-up of its own.

    Raises:
        SceneError: One is missing, or the system has no processes as the demo starts them.
    """
    if os.name != "posix":
        raise SceneError(f"it starts and kills processes as Linux and macOS do; this system is {os.name}")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SceneError(f"not installed: {', '.join(missing)}. `make demo` installs what it needs")
