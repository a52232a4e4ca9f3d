"""The event loop that tests run on: asyncio's own, or uvloop's where ``FLEETCACHE_EVENT_LOOP=uvloop`` asks for it."""

import asyncio
import importlib
import os

__all__ = ["use_loop"]

VARIABLE = "FLEETCACHE_EVENT_LOOP"


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
