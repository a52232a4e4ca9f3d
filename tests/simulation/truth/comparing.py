"""Runs the same steps on both sides, and shortens steps that they disagree on."""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from tests.simulation.server import Engine, SimServer
from tests.support.servers import Server

from .sides import Real, Simulated
from .steps import SLACK_MS, Step, difference, play

__all__ = ["compared", "few", "real", "simulated"]

Make = Callable[..., SimServer]


def simulated(engine: str, steps: Sequence[Step], make: Make = SimServer) -> list[Any]:
    """Return the simulated server's frames of each step."""
    return play(Simulated(cast("Engine", engine), make), steps)


def real(server: Server, steps: Sequence[Step], after: Sequence[Any]) -> list[Any]:
    """Return a real server's frames; play again if this machine was so slow that lifetimes were in danger."""
    while True:
        side = Real(server)
        begun = time.monotonic()
        try:
            seen = play(side, steps, after)
        finally:
            side.close()
        if time.monotonic() - begun < SLACK_MS / 1000:
            return seen


def compared(server: Server, steps: Sequence[Step], make: Make = SimServer) -> str | None:
    """Return the story of the first disagreement, or None."""
    claim = simulated(server.engine, steps, make)
    return difference(steps, real(server, steps, claim), claim)


def few(server: Server, steps: Sequence[Step], make: Make = SimServer) -> list[Step]:
    """Leave out steps as long as both sides still disagree."""
    kept = list(steps)
    size = len(kept) // 2
    while size:
        for start in range(len(kept) - size, -1, -size):
            fewer = kept[:start] + kept[start + size :]
            if _still(server, fewer, make):
                kept = fewer
        size //= 2
    return kept


def _still(server: Server, steps: Sequence[Step], make: Make) -> bool:
    try:
        return compared(server, steps, make) is not None
    except (KeyError, TypeError):  # a step names a client that no longer connects
        return False
