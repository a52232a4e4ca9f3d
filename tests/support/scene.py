"""The scene for the policy's table: a cache under test, another instance, a raw client, a loader that can be held."""

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
    """A loader that counts its calls and can be held."""

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
    """The cache under test, another instance, and the server."""

    def __init__(self, cache: Cache, other: Cache, raw: Client, prefix: str) -> None:
        self.cache, self.other, self.raw, self.origin = cache, other, raw, Origin()
        self.entry, self.claim = f"{prefix}:e:k", f"{prefix}:c:k"

    async def ask(self, **options: Any) -> str:
        return await self.cache.get_or_set("k", self.origin.load, **options)

    async def age(self, left_ms: int, **options: Any) -> None:
        """Store an entry by the other instance, with this much of its life left on the server."""
        await self.other.set("k", "old", ttl="1m", **options)
        blob = self.raw("GET", self.entry)
        self.raw("SET", self.entry, blob, "PX", left_ms)
        await eventually(lambda: self.other.peek("k") is None)  # a push has removed its near copy

    def is_entry(self) -> bool:
        blob: bytes | None = self.raw("GET", self.entry)
        return blob is not None and blob.startswith(b"V")


Body = Callable[[Scene], Coroutine[Any, Any, None]]
