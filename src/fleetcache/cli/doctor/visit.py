"""One connection to the server for questions that no cache asks: the user's permissions, the server's setup.

A visit has the handshake, the addresses and the protocol of a cache's connection, but no reconnect and no heartbeat. A
step that is not done in time raises ``TimeoutError``, any other loss of the connection ``OSError``.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from ...config.url import Address
from ...engine.aio.dialing import dial
from ...wire.closings import Closings
from ...wire.handshake import Ask, Heard, ServerInfo, handshake
from ...wire.session import Call, Command, Session

__all__ = ["Visit"]

# The limit of an unfinished reply, in bytes. The largest reply of a visit is an entry, which is far smaller.
MAX_REPLY = 2**30


class Visit:
    """An open connection; the end of ``async with Visit.to(...)`` closes it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout: float,
        closings: Closings,
    ) -> None:
        self._reader, self._writer, self._timeout, self._closings = reader, writer, timeout, closings
        self._session = Session(self._on_push, MAX_REPLY)
        self._pushed: Counter[bytes] = Counter()

    @classmethod
    async def to(cls, address: Address, timeout: float, closings: Closings) -> Self:  # noqa: ASYNC109 - bounds each step, not the whole
        """Connect to a server and return the visit.

        Args:
            address: The server's address.
            timeout: Seconds that connecting, and each question, may take.
            closings: The commands that a cache has learnt not to send to this server.
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

    def _on_push(self, keys: list[bytes] | None) -> None:
        self._pushed.update(keys or ())

    async def ask(self, *commands: Command | Heard, patient: bool = True) -> list[Any]:  # noqa: ARG002 - a visit does not wait
        """Send commands in one write and return their replies; error replies are values among them."""
        answered: dict[int, Any] = {}
        for place, asked in enumerate(map(Heard.of, commands)):

            def handle(replies: list[Any], place: int = place, asked: Heard = asked) -> None:
                answered[place] = replies[0]
                asked.then(replies[0])

            if (refusal := self._closings.refusal(asked.command)) is not None:
                handle([refusal])
            else:
                call = Call((asked.command,), handle)
                self._session.add(call, 0.0)
                self._writer.write(call.payload)
        async with asyncio.timeout(self._timeout):
            while self._session.calls:
                data = await self._reader.read(65_536)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._session.feed(data)
        return [answered[place] for place in range(len(commands))]

    async def shake_hands(self, address: Address, probe: bytes) -> ServerInfo:
        """Do the handshake that begins every connection of a cache, the self-test of tracking included.

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
            probe_pushes=lambda: self._pushed[probe],
            previous=None,
            questions=tuple,
            recover=_nothing_to_recover,
            careful=self._closings.careful,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def _nothing_to_recover(_ask: Ask, _greeting: ServerInfo, _answers: list[Any], _first: Sequence[Heard]) -> None:
    """Do nothing: a visit has no unacknowledged removals to send."""
