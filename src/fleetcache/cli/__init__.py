"""The ``fleetcache`` command. This module is what runs without the extra ``cli`` too: it then says what to install."""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = {"typer", "rich"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with its exit status.

    Args:
        arguments: Those of the process by default.

    Raises:
        SystemExit: Always. 2 where the arguments are wrong or something is not installed.

    Example:
        >>> try:
        ...     main(["--version"])
        ... except SystemExit as end:
        ...     print("status", end.code)
        fleetcache ...
        status 0
    """
    try:
        from .app import app  # noqa: PLC0415 - the extra may be missing

        app(arguments)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        print(f"fleetcache needs {package} for this: pip install 'fleetcache[cli]'", file=sys.stderr)  # noqa: T201 - the terminal is all there is
        sys.exit(2)
