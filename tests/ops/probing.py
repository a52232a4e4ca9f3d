"""Requests to an app without a socket, and at the bare ASGI level where an HTTP client would hide sent bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

__all__ = ["client", "lifespan", "raw"]


@asynccontextmanager
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of ``app``."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ops") as opened:
        yield opened


async def raw(app: Any, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and every byte of body that the app sends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": ""}
    await app(scope | {"query_string": b"", "headers": [], "http_version": "1.1", "scheme": "http"}, receive, send)
    start = sent[0]
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Send the app a server's messages at its start and end."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, told.get, said.put))
    await told.put({"type": "lifespan.startup"})
    assert await said.get() == {"type": "lifespan.startup.complete"}
    yield
    await told.put({"type": "lifespan.shutdown"})
    assert await said.get() == {"type": "lifespan.shutdown.complete"}
    await running
