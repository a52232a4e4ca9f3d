"""A server that breaks the protocol: it relays to a real one until an entry is asked for, then breaks its reply."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.servers import Server

__all__ = ["Break", "breaking"]

Break = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def breaking(server: Server, trigger: bytes, rage: Break) -> AsyncIterator[str]:
    """Yield the URL of a server that answers each write with ``trigger`` in it by ``rage``."""
    running: set[asyncio.Task[None]] = set()

    over = False

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if over:  # accepted at the very end
            writer.transport.abort()
            return
        task = asyncio.create_task(_serve(server, trigger, rage, reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # also if the task is cancelled before it begins

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0"
    finally:
        over = True
        listener.close()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for _ in range(10):  # to accept, to start the handler, to abort: each a turn or two, by version of Python
            await asyncio.sleep(0)


async def _serve(
    server: Server, trigger: bytes, rage: Break, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    real_reader, real_writer = await asyncio.open_connection(server.address.host, server.address.port)
    relay = asyncio.create_task(_relay(real_reader, writer))
    try:
        while data := await reader.read(65536):
            if trigger in data:
                relay.cancel()
                await rage(writer)
                await reader.read()
                return
            real_writer.write(data)
            await real_writer.drain()
    except OSError:
        pass  # the client has closed the connection, as it should
    finally:
        relay.cancel()
        for each in (real_writer, writer):
            each.transport.abort()
        # Else the garbage collector may report the reset of a connection as an error that no code fetched.
        await asyncio.gather(relay, real_writer.wait_closed(), writer.wait_closed(), return_exceptions=True)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
