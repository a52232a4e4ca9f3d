"""Ends an engine from any place in a test: on its event loop, on another thread, or when the loop is gone."""

import asyncio
import logging
from contextlib import suppress

from ..engine.engine import Engine
from ..engine.threads.engine import SyncEngine

__all__ = ["aend", "end"]

# Seconds for an engine on another thread's loop. Its close() is bounded by two operation timeouts. If it takes longer,
# the loop is blocked, perhaps because it waits for this thread.
_PATIENCE = 5.0
# The event loop keeps only weak references to its tasks.
_closing: "set[asyncio.Task[None]]" = set()


async def aend(engine: Engine) -> None:
    """End the engine, and wait for its end where that is possible."""
    if engine.loop is asyncio.get_running_loop():
        await engine.close()
    else:
        end(engine)


def end(engine: Engine) -> None:
    """End the engine. On its own running loop the end needs some more passes, because a plain function cannot await."""
    loop, here = engine.loop, _running()
    if engine.closed:
        return
    if isinstance(engine, SyncEngine):
        engine.monitor.run(engine.close())
    elif loop is None or loop.is_closed():
        _mark(engine)  # no connection or task of the engine is alive
    elif loop is here:
        task = loop.create_task(engine.close(), name="fleetcache-end")
        _closing.add(task)
        task.add_done_callback(_closing.discard)
    elif loop.is_running():
        _close_there(engine, loop)
    elif here is None:
        loop.run_until_complete(engine.close())  # between two tests, as runners of async tests do themselves
    else:
        _mark(engine)  # the engine's loop does not run; the end of that loop ends the rest


def _running() -> asyncio.AbstractEventLoop | None:
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None


def _mark(engine: Engine) -> None:
    engine.closed = engine.ctx.closed = engine.ports.closed = True
    engine.ready = False
    engine.rebind_faces()


def _close_there(engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
    closing = asyncio.run_coroutine_threadsafe(engine.close(), loop)
    try:
        closing.result(_PATIENCE)
    except TimeoutError:
        closing.cancel()
        text = "unclosed: a cache, %s s after a test (its event loop is blocked)"
        engine.tell(logging.WARNING, "unclosed", text, _PATIENCE, seconds=_PATIENCE)
