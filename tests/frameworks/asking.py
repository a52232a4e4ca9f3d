"""Requests to an app, and what its cache says of each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

__all__ = ["Asking", "asking"]


class Asking:
    """A client that wants to know what the cache did."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, method: str = "GET", /, **headers: str) -> httpx.Response:
        """One request; ``accept_language=`` is the header ``Accept-Language``. It keeps no cookies."""
        return await self.send(path, method, b"", headers)

    async def send(self, path: str, method: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """The same with a body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self._http.request(method, path, headers=named, content=body)
        self._http.cookies.clear()
        return answer

    async def did(self, path: str, method: str = "GET", /, **headers: str) -> str:
        """What the cache did, in a word: ``hit``, ``stored``, ``collapsed``, ``miss``, or why it was bypassed."""
        return did(await self.get(path, method, **headers))


def did(answer: httpx.Response) -> str:
    """The same of an answer."""
    parameters = answer.headers["cache-status"].removeprefix("fleetcache; ").split("; ")
    if parameters[0] == "hit":
        return "hit"
    return str(parameters[-1].removeprefix("detail=").removeprefix("fwd="))


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[Asking]:
    """A client of ``app``, on this event loop and without a socket."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as http:
        yield Asking(http)
