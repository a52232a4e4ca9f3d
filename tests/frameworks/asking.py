"""Requests to an app, with the cache's report of each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

__all__ = ["Asking", "asking"]


class Asking:
    """A client that also reports the cache's part in each answer."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, method: str = "GET", /, **headers: str) -> httpx.Response:
        """Send a request; ``accept_language=`` is the header ``Accept-Language``. The client keeps no cookies."""
        return await self.send(path, method, b"", headers)

    async def send(self, path: str, method: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Send a request with a body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self._http.request(method, path, headers=named, content=body)
        self._http.cookies.clear()
        return answer

    async def did(self, path: str, method: str = "GET", /, **headers: str) -> str:
        """Return the cache's part: ``hit``, ``stored``, ``collapsed``, ``miss``, or the reason of a bypass."""
        return did(await self.get(path, method, **headers))


def did(answer: httpx.Response) -> str:
    """Return the cache's part in an answer, as :meth:`Asking.did` does."""
    parameters = answer.headers["cache-status"].removeprefix("fleetcache; ").split("; ")
    if parameters[0] == "hit":
        return "hit"
    return str(parameters[-1].removeprefix("detail=").removeprefix("fwd="))


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[Asking]:
    """Yield a client of ``app``, on this event loop and without a socket."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as http:
        yield Asking(http)
