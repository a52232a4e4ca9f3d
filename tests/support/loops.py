"""The event loop that tests run on: asyncio's own, or uvloop's where ``FLEETCACHE_EVENT_LOOP=uvloop`` asks for it."""

import asyncio
import importlib
import os
import warnings

__all__ = ["ON_UVLOOP", "close_over_connections", "use_loop"]

VARIABLE = "FLEETCACHE_EVENT_LOOP"
ON_UVLOOP = os.environ.get(VARIABLE) == "uvloop"


def use_loop() -> None:
    """Have every ``asyncio.run`` of this process, and of its children by fork, make loops of the kind asked for.

    Raises:
        ValueError: The variable names a kind that is not known.
    """
    kind = os.environ.get(VARIABLE) or "asyncio"
    if kind == "uvloop":
        asyncio.set_event_loop_policy(importlib.import_module("uvloop").EventLoopPolicy())
    elif kind != "asyncio":
        raise ValueError(f"{VARIABLE} = {kind!r}; there are asyncio and uvloop")


def close_over_connections(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop on which connections are open, as a program does that never closes its cache.

    uvloop warns of each. As an error, which warnings are in tests, that keeps it from closing, and it waits for ever.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        loop.close()
