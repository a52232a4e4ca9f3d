"""The first cache that most people write: get, else load and set; single flight per process, a dict, no fences."""

import asyncio
import functools
import pickle
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from tests.support.client import Client
from tests.support.servers import Server

__all__ = ["Plain"]

Loader = Callable[[], Awaitable[Any]]


class Plain:
    """A cache with a blocking client, and a dict in front that keeps each value it read.

    Args:
        server: The server.
        prefix: The prefix of the keys.
        url: The URL with the user and password to connect with; the server's own by default.
        timeout: The timeout of one command, in seconds.
    """

    def __init__(self, server: Server, prefix: str, *, url: str = "", timeout: float = 5) -> None:
        self._server, self._prefix, self._timeout = server, prefix, timeout
        self._login = urlsplit(url or server.url)
        self._client: Client | None = None
        self._near: dict[str, Any] = {}
        self._flights: dict[str, asyncio.Future[Any]] = {}

    def _ask(self, *command: Any) -> Any:
        if self._client is None:
            self._client = self._server.client(user=self._login.username, password=self._login.password, direct=False)
        return self._client(*command, timeout=self._timeout)

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value from the dict, else from the server."""
        if key in self._near:
            return self._near[key]
        blob = self._ask("GET", f"{self._prefix}:{key}")
        if blob is None:
            return default
        self._near[key] = pickle.loads(blob)  # noqa: S301 - the naive part
        return self._near[key]

    async def get_or_set(self, key: str, loader: Loader, **_: Any) -> Any:
        """Load a missing value, once per process."""
        found = await self.get(key, self)
        if found is not self:
            return found
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(loader())
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
            await self.set(key, await flight)
        return await flight

    async def set(self, key: str, value: Any, **_: Any) -> None:
        """Store."""
        self._near[key] = value
        self._ask("SET", f"{self._prefix}:{key}", pickle.dumps(value), "EX", 300)

    async def delete(self, key: str) -> bool:
        """Remove."""
        self._near.pop(key, None)
        return bool(self._ask("DEL", f"{self._prefix}:{key}") == 1)

    async def invalidate_tags(self, *_: str) -> None:
        """Remove everything, because this cache knows no tags."""
        await self.clear()

    async def clear(self) -> None:
        """Remove everything."""
        self._near.clear()
        for key in self._ask("KEYS", f"{self._prefix}:*"):
            self._ask("DEL", key)

    def cached(self, *, key: str) -> Callable[[Callable[[], Awaitable[Any]]], Loader]:
        """Cache a function without arguments."""
        return lambda fn: functools.partial(self.get_or_set, key, fn)

    async def open(self) -> None:
        """Connect at the first command."""

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
