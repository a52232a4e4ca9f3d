"""The ``fleetcache`` command. Without the extra ``cli``, this module still runs and names the package to install."""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = {"typer", "rich"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit status.

    Args:
        arguments: The arguments; by default those of the process.

    Raises:
        SystemExit: Always. The status is 2 if the arguments are wrong or a package is not installed.

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
        print(f"fleetcache needs {package} for this: pip install 'fleetcache[cli]'", file=sys.stderr)  # noqa: T201 - a command writes to the terminal
        sys.exit(2)
