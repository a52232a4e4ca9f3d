"""The stage for the policy's table: one cache under test, another instance, a raw client, a loader that can be held."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fleetcache import Cache
from tests.support.client import Client
from tests.support.waiting import eventually

__all__ = ["CLAIM", "GRACE", "PLACEHOLDER", "Body", "Origin", "Scene"]

GRACE = 10_000
PLACEHOLDER = b"L" + b"p" * 16
CLAIM = b"C" + b"c" * 16


class Origin:
    """A loader that counts and can be held."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def load(self) -> str:
        self.calls += 1
        number = self.calls
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return f"loaded {number}"


class Scene:
    """One cache under test, another instance, and the server as it is."""

    def __init__(self, cache: Cache, other: Cache, raw: Client, prefix: str) -> None:
        self.cache, self.other, self.raw, self.origin = cache, other, raw, Origin()
        self.entry, self.claim = f"{prefix}:e:k", f"{prefix}:c:k"

    async def ask(self, **options: Any) -> str:
        return await self.cache.get_or_set("k", self.origin.load, **options)

    async def age(self, left_ms: int, **options: Any) -> None:
        """Have an entry of the other instance on the server that is kept so long yet."""
        await self.other.set("k", "old", ttl="1m", **options)
        blob = self.raw("GET", self.entry)
        self.raw("SET", self.entry, blob, "PX", left_ms)
        await eventually(lambda: self.other.peek("k") is None)  # it has heard of it

    def is_entry(self) -> bool:
        blob: bytes | None = self.raw("GET", self.entry)
        return blob is not None and blob.startswith(b"V")


Body = Callable[[Scene], Coroutine[Any, Any, None]]
