"""The ``fleetcache`` command. This module is what runs without the extra ``cli`` too: it then says what to install."""

import sys

__all__ = ["main"]

_EXTRA = {"typer", "rich"}


def main() -> None:
    """Run the command line; ends the process with its exit status.

    Example:
        >>> import sys
        >>> sys.argv = ["fleetcache", "--help"]
        >>> try:
        ...     main()
        ... except SystemExit as end:
        ...     print("status", end.code)  # doctest: +ELLIPSIS
        <BLANKLINE>
        ...
        status 0
    """
    try:
        from .app import app  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        print(f"fleetcache needs {missing.name} for this: pip install 'fleetcache[cli]'", file=sys.stderr)  # noqa: T201 - the terminal is all there is
        sys.exit(2)
    app()
