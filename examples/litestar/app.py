"""A shop in Litestar: cached responses, sessions and a rate limit that all its instances share, and a health route.

Set up by the environment alone (``REDIS_URL``, ``CACHE_PREFIX``); without a server it runs in memory.

Run it: ``uvicorn examples.litestar.app:app --workers 2``, or ``litestar --app examples.litestar.app:app run``.
"""

import asyncio
import os
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.middleware.rate_limit import RateLimitConfig
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import FromPath

from fleetcache.contrib.litestar import FleetStore

PRICES = {"pear": 3, "plum": 5}  # your database


@get("/price/{item:str}", cache=60)
async def price(item: FromPath[str]) -> dict[str, Any]:
    """Return the price, and the process that read it."""
    await asyncio.sleep(0.05)  # a database takes its time
    if item not in PRICES:
        raise NotFoundException(f"no {item}")
    return {"price": PRICES[item], "worker": os.getpid()}


@post("/price/{item:str}/changed", status_code=204)
async def changed(item: FromPath[str]) -> None:
    """Let every instance forget the response, after a change of the price."""
    await app.stores.get("response_cache").delete(f"GET/price/{item}")


@post("/cart/{item:str}")
async def put(request: Request[Any, Any, Any], item: FromPath[str]) -> list[str]:
    """Put an item into the session's cart, which any instance can read."""
    cart = [*request.session.get("cart", ()), item]
    request.set_session({"cart": cart})
    return cart


@get("/readyz", exclude_from_limit=True)
async def ready() -> Response[dict[str, Any]]:
    """Answer the load balancer."""
    health = await store.cache.health()
    return Response(health.brief(), status_code=health.status.http_status)


store = FleetStore()  # nothing connects before the app starts, which opens and closes its stores
app = Litestar(
    [price, changed, put, ready],
    stores={  # sessions and rate limits are read from the server, because they are written back as they were read
        "response_cache": store.with_namespace("response_cache"),
        "sessions": store.with_namespace("sessions", near=False),
        "rate_limit": store.with_namespace("rate_limit", near=False),
    },
    middleware=[
        RateLimitConfig(("minute", 100), exclude_opt_key="exclude_from_limit").middleware,
        ServerSideSessionConfig().middleware,
    ],
)
