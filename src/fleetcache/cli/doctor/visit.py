"""One connection to the server for questions that no cache asks: which permissions there are, how it is set up.

It has the handshake, the addresses and the protocol of every connection of ours, and no life of its own: no reconnect,
no heartbeat. What it cannot do in time is ``TimeoutError``, any other loss of the connection ``OSError``.
"""

import asyncio
from contextlib import suppress
from typing import Any, Self

from ...config.url import Address
from ...engine.aio.dialing import dial
from ...wire.closings import Closings
from ...wire.handshake import Ask, ServerInfo, handshake
from ...wire.session import Call, Command, Session

__all__ = ["Visit"]

# Bytes of one unfinished reply. The largest that is asked for is an entry, and ours have an end long before.
MAX_REPLY = 2**30


class Visit:
    """An open connection; ``async with Visit.to(...)`` closes it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout: float,
        closings: Closings,
    ) -> None:
        self._reader, self._writer, self._timeout, self._closings = reader, writer, timeout, closings
        self._session = Session(self._on_push, MAX_REPLY)
        self._pushed: set[bytes] = set()

    @classmethod
    async def to(cls, address: Address, timeout: float, closings: Closings) -> Self:  # noqa: ASYNC109 - bounds each step, not the whole
        """Connect.

        Args:
            address: Where to.
            timeout: Seconds that connecting, and each question, may take.
            closings: What a cache has learnt not to ask there.
        """
        async with asyncio.timeout(timeout):
            if address.path is not None:
                streams = await asyncio.open_unix_connection(address.path)
            else:
                context = address.ssl_context()
                streams = await asyncio.open_connection(
                    sock=await dial(address.host, address.port),
                    ssl=context,
                    server_hostname=address.host if context is not None else None,
                )
        return cls(*streams, timeout, closings)

    def _on_push(self, frame: list[Any]) -> None:
        if frame[0] == b"invalidate" and isinstance(frame[1], list):
            self._pushed.update(frame[1])

    async def ask(self, *commands: Command, **options: Any) -> list[Any]:
        """Send commands in one write; their replies, error replies among them as values.

        Args:
            *commands: What to ask.
            **options: ``handle`` of the handshake's ``Ask``; nothing here is patient.
        """
        if (refusal := self._closings.refusal(commands[0])) is not None:
            return [refusal] * len(commands)
        replies: list[Any] = []
        handle = options.get("handle") or (lambda found: found)
        call = Call(commands, lambda found: replies.extend(handle(found)))
        self._session.add(call, 0.0)
        self._writer.write(call.payload)
        async with asyncio.timeout(self._timeout):
            while self._session.calls:
                data = await self._reader.read(65_536)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._session.feed(data)
        return replies

    async def shake_hands(self, address: Address, probe: bytes) -> ServerInfo:
        """Do what every connection of a cache begins with, the self-test of tracking included.

        Raises:
            HandshakeError: The server cannot be used, with the reason.
        """
        password = address.password
        user = () if address.username is None else (address.username,)
        return await handshake(
            self.ask,
            address,
            () if password is None else (*user, password),
            name="fleetcache-doctor",
            probe=probe,
            probe_pushed=lambda: probe in self._pushed,
            previous=None,
            recover=_nothing_to_recover,
            careful=self._closings.careful,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def _nothing_to_recover(_ask: Ask, _greeting: ServerInfo) -> None:
    """A visit owes nothing to the server."""
