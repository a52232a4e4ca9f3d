"""The options of ``fleetcache doctor``."""

from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(
    *,
    key: Annotated[str | None, typer.Option(help="A key to explain, with its namespaces: users:7.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this host; WEB_CONCURRENCY by default.", show_default=False)
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="A check that does not count for the exit status: maxmemory. Repeatable.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
) -> None:
    """Examine the configuration, the server and its permissions, and name the actions to take.

    Reads the variables that the app reads. Exit status: 0 nothing to do, 1 something to do, 2 wrong configuration or
    usage. Shows no secret.
    """
    import asyncio  # noqa: PLC0415 - no command needs another one's imports
    import os  # noqa: PLC0415 - as above

    from ...errors import KeyRuleError  # noqa: PLC0415 - as above
    from .examination import examine  # noqa: PLC0415 - as above
    from .findings import Code  # noqa: PLC0415 - as above
    from .report import as_json, show  # noqa: PLC0415 - as above

    choices = [code.value for code in Code if code is not Code.CONFIGURATION]  # no cache starts without it
    for word in ignore or ():
        if word not in choices:
            raise typer.BadParameter(f"{word!r} is not a check; accepted: {', '.join(choices)}", param_hint="--ignore")
    try:
        report = asyncio.run(examine(os.environ, key=key, workers=workers))
    except KeyRuleError as error:
        raise typer.BadParameter(str(error), param_hint="--key") from None
    report.ignored = frozenset(map(Code, ignore or ()))
    typer.echo(as_json(report)) if json else show(report)
    raise typer.Exit(report.exit_status)
