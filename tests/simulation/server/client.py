"""One connection, on the server's side: bytes in, bytes out, in the order in which the server makes them."""

from typing import TYPE_CHECKING, Any

import hiredis

from .keyspace import Keyspace
from .resp import ErrorReply, Reply, encode, encode_push

if TYPE_CHECKING:  # both import each other
    from .server import SimServer

__all__ = ["SimClient"]


class SimClient:
    """A client; ``SimServer.connect`` makes it.

    Attributes:
        server: Its server.
        id: Its number there.
        closed: True if the server has closed this connection; ``take`` still returns the last bytes.
        database: The database set by ``SELECT``.
        protocol: 2 or 3, set by ``HELLO``.
        name: The name set by ``SETNAME``.
        authenticated: True if it may run commands.
        tracking: True if the server pushes changes of keys that it has read.
        noloop: True if it gets no push for its own commands.
        running: True while the server runs its command.
    """

    def __init__(self, server: "SimServer", number: int) -> None:
        self.server, self.id = server, number
        self.closed = False
        self.database = 0
        self.protocol = 2
        self.name = b""
        self.authenticated = server.state.password is None
        self.tracking = self.noloop = self.running = False
        self._holding_back = False
        self._pending: list[bytes | None] = []
        self._out = bytearray()
        self._reader = hiredis.Reader()
        self._next: list[bytes] | None = None

    @property
    def keys(self) -> Keyspace:
        """The keys of its server."""
        return self.server.keys

    def receive(self, data: bytes) -> None:
        """Take in bytes from the client, cut anywhere; commands run as soon as they are complete."""
        if not self.closed:
            self._reader.feed(data)
            self.go_on()

    def go_on(self) -> None:
        """Run the complete commands, up to one that must wait for the end of a pause."""
        try:
            while not self.closed and (args := self._command()) is not None:
                if self.server.must_wait(args):
                    self._next = args
                    return
                self.server.execute(self, args)
        except hiredis.ProtocolError as error:
            self.answer(ErrorReply(f"ERR Protocol error: {error}"))
            self.end()

    def take(self) -> bytes:
        """Return the bytes for the client."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def drop(self) -> None:
        """Stop reading and writing: the connection was lost, or the client killed."""
        self._out.clear()
        self.end()

    def end(self) -> None:
        """Close, after the bytes that still go out."""
        self.closed = True
        self.server.clients.pop(self.id, None)

    def answer(self, reply: Reply) -> None:
        """Append a reply."""
        self._out += encode(reply, self.protocol)

    def push(self, key: bytes | None) -> None:
        """Append a push, behind a reply in the making; RESP2 has no pushes."""
        if self._holding_back:
            self._pending.append(key)
        elif self.protocol == 3:
            self._out += encode_push(key)

    def hold_back(self) -> None:
        """Let pushes wait for the reply from now on."""
        self._holding_back = True

    def let_go(self) -> None:
        """Append the pushes that waited."""
        self._holding_back = False
        pending, self._pending = self._pending, []
        for key in pending:
            self.push(key)

    def __repr__(self) -> str:
        return f"<client {self.id} {self.name.decode()!r}{' closed' if self.closed else ''}>"

    def _command(self) -> list[bytes] | None:
        if self._next is not None:
            args, self._next = self._next, None
            return args
        found: Any = self._reader.gets()
        return None if found is False else found
