"""``SyncCache.aio`` in the clothes of ``Cache``, so that a test for tasks holds that view to the same promise."""

import asyncio
from typing import Any, Self, cast

from fleetcache import Cache, Settings, SyncCache
from fleetcache.api.aio_view import AioView

__all__ = ["tasked"]


class Tasked(AioView):
    """The view, opened and closed with its cache."""

    _cache: SyncCache

    @property
    def settings(self) -> Settings:
        return self._cache.settings

    async def open(self) -> None:
        await asyncio.to_thread(self._cache.open)

    async def close(self) -> None:
        await asyncio.to_thread(self._cache.close)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def tasked(url: str, **settings: Any) -> Cache:
    """A view for tasks on a cache for threads, that tests take for ``Cache``."""
    return cast("Cache", Tasked(SyncCache(url, **settings)))
