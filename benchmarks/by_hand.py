"""The code of an afternoon: redis-py before a slow origin, with every fault of the server caught.

It stands beside fleetcache in the story of ``docs/why.md``, which shows this code; ``story.py`` measures it.
"""

from contextlib import suppress
from typing import Any, Protocol

from redis.exceptions import RedisError

__all__ = ["ByHand"]


class Origin(Protocol):
    """The source of the truth."""

    async def locate(self, ip: str) -> str:
        """Ask; slow, and limited."""
        ...


class ByHand:
    """One instance's cache on Redis."""

    def __init__(self, redis: Any, origin: Origin) -> None:
        self.redis = redis
        self.origin = origin

    async def locate(self, ip: str) -> str:
        """Answer from Redis, else ask the origin and store its answer."""
        with suppress(RedisError):  # a cache must not take the app down
            if (known := await self.redis.get(f"geo:{ip}")) is not None:
                return str(known, "utf-8")
        place = await self.origin.locate(ip)
        with suppress(RedisError):
            await self.redis.set(f"geo:{ip}", place, ex=600)
        return place

    async def forget(self, ip: str) -> None:
        """Remove the address, after a change at the origin."""
        with suppress(RedisError):
            await self.redis.delete(f"geo:{ip}")
