"""A batch loader for tests."""

import asyncio

__all__ = ["BatchOrigin"]


class BatchOrigin:
    """A batch loader that records the keys of each call."""

    def __init__(self, *, lacks: tuple[str, ...] = ()) -> None:
        self.asked: list[list[str]] = []
        self.lacks = lacks
        self.go = asyncio.Event()
        self.go.set()

    async def load(self, keys: list[str]) -> dict[str, str]:
        self.asked.append(keys)
        await self.go.wait()
        return {key: key.upper() for key in keys if key not in self.lacks}
