"""The fault proxy for every transport: it also listens on a unix socket, and can speak where the server should.

With TLS the bytes pass untouched. The proxy's own bytes then break the encryption, as a broken network would.
"""

import asyncio

from fleetcache.testing import Proxy
from tests.support.servers import Server

__all__ = ["Wire"]


class Wire(Proxy):
    """A proxy before one of our servers, on the server's own transport."""

    def __init__(self, server: Server) -> None:
        self._path = str(server.folder / "wire") if server.transport == "unix" else ""
        super().__init__(server)

    @property
    def url(self) -> str:
        """The URL of the server, by way of this proxy."""
        return f"unix://{self._path}" if self._path else super().url

    def say(self, data: bytes) -> None:
        """Send ``data`` to all clients."""

        def say() -> None:
            for client, *_ in self._tasks.values():
                client.write(data)

        self._do(say)

    async def _listen(self) -> None:
        if not self._path:
            return await super()._listen()
        if self._listener is None:
            self._listener = await asyncio.start_unix_server(self._connected, self._path)
        return None
