"""Cancels a caller at one chosen suspension, so that a test can go through all suspensions."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

__all__ = ["cancelled_at"]


async def cancelled_at(work: Coroutine[Any, Any, Any], suspension: int, passes: int = 0) -> bool:
    """Run ``work`` and cancel it; return True if it reached the suspension.

    Args:
        work: The coroutine that the caller awaits.
        suspension: The number of the suspension to cancel at, from 1 on.
        passes: The passes of the event loop between the suspension and the cancellation.
    """
    reached: list[asyncio.Task[None]] = []

    def cancel() -> None:
        reached.append(asyncio.create_task(_cancel_later(task, passes)))

    task = asyncio.ensure_future(_await(_Counted(work, suspension, cancel)))
    await asyncio.wait((task,))
    if reached:
        await reached[0]
    if not task.cancelled():
        task.result()
    return bool(reached)


async def _await(work: "_Counted") -> Any:
    return await work


async def _cancel_later(task: "asyncio.Future[Any]", passes: int) -> None:
    for _ in range(passes):
        await asyncio.sleep(0)
    task.cancel()


class _Counted:
    """Awaits ``work`` and calls back at the chosen suspension."""

    def __init__(self, work: Coroutine[Any, Any, Any], suspension: int, reached: Callable[[], None]) -> None:
        self._work, self._left, self._reached = work, suspension, reached

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._work.__await__()
        step: Callable[[], Any] = partial(next, inner)
        while True:
            try:
                waited = step()
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                self._reached()
            try:
                step = partial(inner.send, (yield waited))
            except BaseException as error:  # noqa: BLE001 - handed on to whom it was meant for
                step = partial(inner.throw, error)
