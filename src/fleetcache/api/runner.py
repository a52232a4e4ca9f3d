"""Runs the async verbs for threads: each verb of ``SyncCache`` is the coroutine of ``Cache``, run to its end."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

from ..engine.threads.engine import SyncEngine
from ..engine.threads.runtime import has_room
from ..policy.single_flight import CURRENT

__all__ = ["InlineRunner", "Run", "Runner"]

T = TypeVar("T")


class Run(Protocol):
    """``Runner.run``, as the faces keep it for their hot path."""

    def __call__(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result."""
        ...


class Runner(Protocol):
    """Runs coroutines of the rules for a thread: under the monitor of an engine on threads, or on an event loop."""

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result."""
        ...

    def run_loading(
        self,
        loader: Callable[..., Any],
        make: Callable[[Any], Coroutine[Any, Any, T]],
        alone: Callable[[], T],
        *,
        many: bool = False,
    ) -> T:
        """Run the coroutine that ``make`` returns for the loader, in the shape of loader that this engine takes.

        The runner calls ``alone`` instead when the rules cannot run now: their loop is blocked, or loads have nested
        so deeply that this thread's stack has no room for them. ``alone`` calls the loader, and nothing is stored.
        ``many``: whether the loader loads a batch of keys.
        """
        ...


class InlineRunner:
    """Runs the rules in the calling thread, under the engine's monitor."""

    def __init__(self, engine: SyncEngine) -> None:
        self._root = engine

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result. Its waits block this thread."""
        engine = self._root if self._root.override is None else cast("SyncEngine", self._root.override)
        engine.check_process()
        return engine.monitor.run(coro)

    def run_loading(
        self,
        loader: Callable[..., Any],
        make: Callable[[Any], Coroutine[Any, Any, T]],
        alone: Callable[[], T],
        *,
        many: bool = False,  # noqa: ARG002 - the loader runs in this thread in either case
    ) -> T:
        """Run a verb with its loader. The ports of threads accept a ``def`` unchanged."""
        if CURRENT.get() is not None and not has_room():
            return alone()
        return self.run(make(loader))
