"""The Typer app: one line for each command.

A command's module has its options alone and imports the rest within: no command needs what another one does.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from .demo.command import demo
from .doctor.command import doctor

__all__ = ["app"]

app = typer.Typer(
    name="fleetcache",
    help="One coherent cache for every instance of a Python server.",
    no_args_is_help=True,
    add_completion=False,  # two commands: nothing to complete
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


app.command()(demo)
app.command()(doctor)
