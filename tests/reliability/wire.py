"""The fault proxy for every transport: it also listens on a unix socket, and can speak where the server should.

With TLS the bytes pass untouched, so what it says of its own breaks the encryption, as a broken network would.
"""

import asyncio

from fleetcache.testing import Proxy
from tests.support.servers import Server

__all__ = ["Wire"]


class Wire(Proxy):
    """Stands before a server of ours, by the transport that it has itself."""

    def __init__(self, server: Server) -> None:
        self._path = str(server.folder / "wire") if server.transport == "unix" else ""
        super().__init__(server)

    @property
    def url(self) -> str:
        """The URL of the server, by way of this proxy."""
        return f"unix://{self._path}" if self._path else super().url

    def say(self, data: bytes) -> None:
        """Send that to all clients."""

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
