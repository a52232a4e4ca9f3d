"""A raw blocking RESP3 connection, for tests that inspect a server from outside.

It returns all replies and pushes in the server's exact order.
"""

import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Self

import hiredis

__all__ = ["Client"]

Argument = str | bytes | int | float
Login = tuple[str | None, str | None]

_NOTHING = object()


class Client:
    """One connection; call it with a command, get the reply.

    Args:
        sock: A connected socket; the client owns it from here on.
        login: User and password of ``HELLO … AUTH``. No password, no ``AUTH``; no user is the default user.

    Attributes:
        pushes: Push frames met while waiting for a reply, oldest first, each a list of its items.

    Example:
        >>> with server.client() as client:
        ...     client("SET", "key", "value")
        b'OK'
    """

    def __init__(self, sock: socket.socket, *, login: Login = (None, None)) -> None:
        self.socket = sock
        self.pushes: list[list[Any]] = []
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        user, password = login
        auth = () if password is None else ("AUTH", user or "default", password)
        try:
            hello = self("HELLO", 3, *auth)
        except BaseException:
            sock.close()
            raise
        self.id = int(hello[b"id"])

    @classmethod
    def tcp(cls, host: str, port: int, *, tls: ssl.SSLContext | None = None, login: Login = (None, None)) -> Self:
        """Connect by TCP, with TLS when a context is given."""
        sock = socket.create_connection((host, port), timeout=5)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return cls(tls.wrap_socket(sock, server_hostname=host) if tls else sock, login=login)
        except BaseException:
            sock.close()
            raise

    @classmethod
    def unix(cls, path: str, *, login: Login = (None, None)) -> Self:
        """Connect to a unix socket."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(5)
            sock.connect(path)
            return cls(sock, login=login)
        except BaseException:
            sock.close()
            raise

    def __call__(self, *command: Argument, timeout: float = 5) -> Any:
        """Send one command and return its reply. An error reply raises ``hiredis.ReplyError``."""
        (reply,) = self.pipeline(command, timeout=timeout)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def pipeline(self, *commands: Sequence[Argument], timeout: float = 5) -> list[Any]:
        """Send commands in one write and return their replies, error replies among them as values."""
        self.send(*commands)
        return [self._reply(time.monotonic() + timeout) for _ in commands]

    def transaction(self, *commands: Sequence[Argument]) -> list[Any]:
        """Send commands between which no other client of the server gets a word, and return their replies."""
        replies = self.pipeline(("MULTI",), *commands, ("EXEC",))[-1]
        errors = [reply for reply in replies if isinstance(reply, hiredis.ReplyError)]
        if errors:
            raise errors[0]
        return list(replies)

    def send(self, *commands: Sequence[Argument]) -> None:
        """Send commands in one write and leave the replies for ``frame``."""
        packed = (hiredis.pack_command(tuple(command)) for command in commands)  # type: ignore[arg-type]  # stub: 1-tuple
        self.socket.sendall(b"".join(packed))

    def frame(self, timeout: float = 5) -> Any:
        """Return the next frame of any kind. Pushes come as ``hiredis.PushNotification``, a list."""
        return self._frame(time.monotonic() + timeout)

    def drain(self, timeout: float = 0.1) -> list[Any]:
        """Return every frame that arrives until nothing came for ``timeout`` seconds, earlier pushes first."""
        frames: list[Any] = [*self.pushes]
        self.pushes.clear()
        while True:
            try:
                frames.append(self.frame(timeout))
            except TimeoutError:
                return frames

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reply(self, deadline: float) -> Any:
        while isinstance(frame := self._frame(deadline), hiredis.PushNotification):
            self.pushes.append(list(frame))
        return frame

    def _frame(self, deadline: float) -> Any:
        while (frame := self._reader.gets()) is _NOTHING:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no frame came in time")
            self.socket.settimeout(left)
            received = self.socket.recv(65536)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._reader.feed(received)
        return frame
