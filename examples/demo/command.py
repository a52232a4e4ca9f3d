"""The options of the demo: ``make demo ARGS=...``."""

from pathlib import Path
from typing import Annotated

import typer

from .plan import FEWEST_SECONDS, MOST_INSTANCES, Plan

__all__ = ["demo"]


def demo(
    *,
    seconds: Annotated[
        float, typer.Option(min=FEWEST_SECONDS, help="How long the story takes; start and end come on top.")
    ] = Plan.seconds,
    instances: Annotated[
        int, typer.Option(min=2, max=MOST_INSTANCES, help="How many instances of the app.")
    ] = Plan.instances,
    trace: Annotated[
        Path | None, typer.Option(help="Send the addresses of this file: one a line, plain or gzip.")
    ] = Plan.trace,
    seed: Annotated[int, typer.Option(help="Draws the addresses and the origin's delays.")] = Plan.seed,
    json: Annotated[
        bool, typer.Option("--json", help="Print what was seen as JSON; the story goes to stderr.")
    ] = False,
) -> None:
    """Watch three instances share one cache, lose their server under load, and come back clean.

    Ends with status 0 if every promise held, 1 if one did not, 2 if it could not run.
    """
    from .plan import SceneError, check_needs  # noqa: PLC0415 - --help needs none of it

    try:
        check_needs()
        from .run import run  # noqa: PLC0415 - after the check: it imports what may be missing

        status = run(Plan(seconds, instances, seed, trace), as_json=json)
    except SceneError as error:
        typer.echo(f"the demo cannot run: {error}", err=True)
        status = 2
    raise typer.Exit(status)
