"""The event loop of the tests: asyncio's own, or uvloop's with ``FLEETCACHE_EVENT_LOOP=uvloop``."""

import asyncio
import importlib
import os
import warnings

__all__ = ["ON_UVLOOP", "close_over_connections", "use_loop"]

VARIABLE = "FLEETCACHE_EVENT_LOOP"
ON_UVLOOP = os.environ.get(VARIABLE) == "uvloop"


def use_loop() -> None:
    """Let every ``asyncio.run`` of this process, and of its forked children, make loops of the configured kind.

    Raises:
        ValueError: The variable names an unknown kind.
    """
    kind = os.environ.get(VARIABLE) or "asyncio"
    if kind == "uvloop":
        asyncio.set_event_loop_policy(importlib.import_module("uvloop").EventLoopPolicy())
    elif kind != "asyncio":
        raise ValueError(f"{VARIABLE} = {kind!r}; there are asyncio and uvloop")


def close_over_connections(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop with open connections, as a program does that never closes its cache.

    uvloop warns of each connection. Tests turn warnings into errors, which keep the loop from closing, so that it waits
    for ever.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        loop.close()
