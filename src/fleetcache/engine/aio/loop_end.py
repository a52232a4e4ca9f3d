"""The cache's own tasks, when their event loop ends without a ``close()``."""

import asyncio
from typing import Any

__all__ = ["without_farewell"]


def without_farewell(task: "asyncio.Task[Any]") -> None:
    """Let a task end with its loop without a warning from asyncio: no caller waits for it any more."""
    task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio does with its own
