"""A small HTTP/1.1 client for the scene. It costs a tenth of a full one, so that the measured times are the server's.

It is for the scene's own servers only: bodies with a Content-Length, connections that stay open for the whole story.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HttpClient", "Response"]

_TIMEOUT = 10.0  # seconds: no answer by then is a failed request

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Response:
    """An answer; header names are in lower case, the body is the value of its JSON, or its text."""

    status: int
    headers: Mapping[str, str]
    body: Any


class HttpClient:
    """Sends requests over kept connections, as many as there are requests at once."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[_Connection]] = defaultdict(list)

    async def request(self, method: str, url: str, path: str, body: Any = None) -> Response:
        """Send one request and read its answer.

        Args:
            method: The HTTP method.
            url: The URL of the server, ``http://host:port``.
            path: The quoted path of the resource.
            body: Sent as JSON unless it is None.

        Raises:
            OSError: There is no connection, or no answer in time.
            EOFError: The server closed the connection instead of answering.
        """
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await self._connection(url)
            try:
                content = b"" if body is None else json.dumps(body).encode()
                head = f"{method} {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
                writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
                response = await _read(reader)
            except BaseException:  # half an answer may be on its way: no request can use this connection again
                writer.transport.abort()
                raise
        self._idle[url].append((reader, writer))
        return response

    async def close(self) -> None:
        """Close the connections."""
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
                await writer.wait_closed()
        self._idle.clear()

    async def _connection(self, url: str) -> _Connection:
        if idle := self._idle[url]:
            return idle.pop()
        address = urlsplit(url)
        return await asyncio.open_connection(address.hostname, address.port)


async def _read(reader: asyncio.StreamReader) -> Response:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = await reader.readexactly(int(headers["content-length"]))
    body = json.loads(content) if headers["content-type"] == "application/json" else content.decode()
    return Response(int(first.split()[1]), headers, body)
