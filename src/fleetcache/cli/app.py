"""The Typer app: one line for each command.

A command's module defines only its options and imports the rest when it runs: no command needs another one's imports.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from .doctor.command import doctor

__all__ = ["app"]

app = typer.Typer(
    name="fleetcache",
    help="One coherent cache for every instance of a Python server.",
    no_args_is_help=True,
    add_completion=False,  # one command: nothing to complete
    pretty_exceptions_enable=False,  # a plain traceback can be pasted into an issue, and shows no locals
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"fleetcache {version('fleetcache')}")
        raise typer.Exit


@app.callback()
def fleetcache(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """One coherent cache for every instance of a Python server."""


app.command()(doctor)


# Earlier instructions, and users from memory, still type `fleetcache demo`. The answer is the same for all options.
@app.command(hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo() -> None:
    """Say where the demo is."""
    typer.echo("the demo is in fleetcache's repository, not in the package: clone it and run `make demo`", err=True)
    raise typer.Exit(2)
