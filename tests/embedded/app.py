"""An app as users write it, for real servers with several workers: its only setting is ``CACHE_DRIVER=embedded``.

``LOADS`` names a file that gets a byte for each load.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from fleetcache import Cache
from fleetcache.shared.embedded import launch
from tests.embedded.home import LINGER

launch.LINGER = LINGER
cache = Cache.from_env()
loads = os.open(os.environ["LOADS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@cache.cached(ttl="1m", key="price:{name}")
async def price(name: str) -> str:
    """Load slowly, and count the load."""
    os.write(loads, b".")
    await asyncio.sleep(0.3)
    return f"{name} as told to {os.getpid()}"


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """``/health``, ``/price/NAME`` and ``/forget/NAME``; every answer names its process."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    _, route, *name = scope["path"].split("/")
    if route == "health":
        said: Any = (await cache.health()).as_dict()
    elif route == "forget":
        said = await price.invalidate(*name)
    else:
        said = await price(*name)
    body = json.dumps({"pid": os.getpid(), "said": said}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


async def lifespan(
    receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """Open the cache before the first request and close it after the last."""
    await receive()
    async with cache:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
