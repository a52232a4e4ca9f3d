"""A loader for tests, which counts, fails or waits as told."""

import asyncio

__all__ = ["Origin"]


class Origin:
    """A loader that counts its calls, and waits for a signal.

    Args:
        error: Raised instead of an answer.
        waits: True to wait for ``go``.
    """

    def __init__(self, error: Exception | None = None, *, waits: bool = False) -> None:
        self.calls = 0
        self.cancelled = 0
        self.error = error
        self.go = asyncio.Event()
        if not waits:
            self.go.set()

    async def load(self) -> str:
        self.calls += 1
        number = self.calls
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"value {number}"
