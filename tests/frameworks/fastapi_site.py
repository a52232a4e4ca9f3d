"""An app for several uvicorn processes: its one endpoint is slow, and tells which process answered."""

import asyncio
import os
from itertools import count

from fastapi import FastAPI

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response, lifespan

__all__ = ["app"]

app, calls = FastAPI(lifespan=lifespan(Cache.from_env())), count(1)


@app.api_route("/slow/{item}", methods=["GET", "HEAD"], include_in_schema=False)
@cached_response(ttl="5m")
async def slow(item: str) -> dict[str, object]:
    """Load so slowly that all concurrent requests come before its end."""
    await asyncio.sleep(0.5)
    return {"item": item, "process": os.getpid(), "call": next(calls)}


@app.delete("/slow/{item}")
async def remove(item: str) -> None:
    """Remove the response from every process."""
    await slow.invalidate(item)
