"""The options of ``fleetcache demo``."""

import typer

__all__ = ["demo"]


def demo() -> None:
    """Watch three instances share one cache, lose their server under load, and come back clean."""
    raise typer.Exit(2)
