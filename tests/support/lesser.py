"""A proxy with RESP2 and few commands, as some proxies in the field."""

import socket
import threading
from collections.abc import Callable
from typing import Any, Self

import hiredis

from tests.support.servers import Server

__all__ = ["CLOSE", "Lesser"]

CLOSE = b""  # the proxy hangs up instead of an answer
_MORE = object()


class Lesser:
    """A proxy before a server, for its ``with`` block.

    Args:
        server: The server for the commands that the proxy knows.
        password: The proxy's own password, which a client must send first, in ``AUTH``.
        looks_ahead: Whether the proxy reads all that has arrived first, and hangs up before it answers any of it.
        **answers: Answers to unknown commands, by the command's first word.
    """

    def __init__(
        self, server: Server, *, password: str | None = None, looks_ahead: bool = False, **answers: bytes
    ) -> None:
        self._server, self._password, self._answers = server, password, answers
        self._looks_ahead = looks_ahead
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.asked: list[str] = []  # the first words of all commands
        self._threads: list[threading.Thread] = []
        self._in_thread(self._accept)

    @property
    def url(self) -> str:
        """The URL of the proxy."""
        login = "" if self._password is None else f":{self._password}@"
        return f"redis://{login}127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _in_thread(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._in_thread(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        address = self._server.address
        reader, let_in = hiredis.Reader(notEnoughData=_MORE), self._password is None
        with client, socket.create_connection((address.host, address.port)) as server:
            try:
                while data := client.recv(65_536):
                    reader.feed(data)
                    commands = list(iter(reader.gets, _MORE))
                    if self._looks_ahead and any(self._answers.get(_word(command)) == CLOSE for command in commands):
                        return
                    for command in commands:
                        word = _word(command)
                        self.asked.append(word)
                        if word == "AUTH" and self._password is not None:
                            let_in = command[-1].decode() == self._password
                            client.sendall(b"+OK\r\n" if let_in else b"-ERR invalid password\r\n")
                        elif not let_in:
                            client.sendall(b"-NOAUTH Authentication required.\r\n")
                        elif word not in self._answers:
                            self._pass_on(command, client, server)
                        elif self._answers[word] == CLOSE:
                            return
                        else:
                            client.sendall(self._answers[word] + b"\r\n")
            except OSError:
                return

    def _pass_on(self, command: list[bytes], client: socket.socket, server: socket.socket) -> None:
        pack: Any = hiredis.pack_command
        server.sendall(pack(tuple(command)))
        reader = hiredis.Reader(notEnoughData=_MORE)
        said = b""
        while reader.gets() is _MORE:
            data = server.recv(65_536)
            if not data:
                raise ConnectionResetError
            reader.feed(data)
            said += data
        client.sendall(said)


def _word(command: list[bytes]) -> str:
    return command[0].decode().upper()
