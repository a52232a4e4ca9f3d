"""A TLS terminator in front of a server that has no TLS of its own, run as a child process.

It is a process and not a thread: freezing or killing the server then freezes or kills its TLS with it, as if the
server did TLS itself. It is a plain script on the standard library, so that it starts in a moment.
"""

import asyncio
import contextlib
import ssl
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.certs import Certificates

__all__ = ["command"]


def command(port: int, upstream: str, certs: "Certificates") -> list[str]:
    """Return the command line of a terminator on 127.0.0.1:port that relays to the unix socket ``upstream``."""
    return [sys.executable, "-S", __file__, str(port), upstream, str(certs.cert), str(certs.key)]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _relay(client: tuple[asyncio.StreamReader, asyncio.StreamWriter], upstream: str) -> None:
    """Copy both ways until one side ends, then end the other: TLS has no half-closed connections here."""
    with contextlib.suppress(OSError), contextlib.closing(client[1]):
        server = await asyncio.open_unix_connection(upstream)
        with contextlib.closing(server[1]):
            copies = {
                asyncio.ensure_future(_copy(client[0], server[1])),
                asyncio.ensure_future(_copy(server[0], client[1])),
            }
            _, pending = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for copy in pending:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)


async def _serve(port: int, upstream: str, context: ssl.SSLContext) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _relay((reader, writer), upstream)

    # The client reports failed handshakes: a test of a wrong CA must not print a traceback here.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    listener = await asyncio.start_server(connected, "127.0.0.1", port, ssl=context)
    await listener.serve_forever()


def _main(port: str, upstream: str, cert: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    asyncio.run(_serve(int(port), upstream, context))


if __name__ == "__main__":
    _main(*sys.argv[1:])
