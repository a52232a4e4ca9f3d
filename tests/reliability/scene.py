"""The scene of one fault: its own server, the network to it, and an administrator's connection that outlives it."""

import contextlib
from typing import Any, Self

from fleetcache.format.keys import Layout
from tests.reliability.wire import Wire
from tests.support.client import Client
from tests.support.servers import Server, Transport
from tests.support.waiting import wait_until

__all__ = ["Scene"]


_KEEPER = ("keeper", "on", ">kept")


class Scene:
    """The constructor starts the server; ``with`` stops it.

    Args:
        engine: ``redis`` or ``valkey``.
        transport: The transport between caches and server.
        network: True if the tested cache connects through the proxy.
        password: The password that the server requires.

    Attributes:
        culprit: Another connection, for commands with late answers.
    """

    def __init__(self, engine: str, transport: Transport, *, network: bool, password: str | None) -> None:
        self.layout = Layout("matrix")
        self.server = Server(engine, transport, password=password)
        self._network = network
        try:
            self.wire = Wire(self.server)
            self._admin: Client | None = None
            self.tell("PING")
            self.culprit = self.server.client()
        except BaseException:
            self.server.stop()
            raise

    @property
    def url(self) -> str:
        """The URL for the tested cache."""
        return self.wire.url if self._network else self.server.url

    def tell(self, *command: str | int | bytes) -> Any:
        """Send a command, by the private socket."""
        if self._admin is None:
            with self.server.client() as client:  # this user can undo any fault of the default user
                client("ACL", "SETUSER", *_KEEPER, "~*", "&*", "+@all")
            self._admin = self.server.client(user="keeper", password="kept")  # noqa: S106 - of a server that lives for seconds
        return self._admin(*command)

    def throw_out(self) -> None:
        """End every connection except the administrator's."""
        self.tell("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def until_said(self, expected: bytes, *command: str) -> None:
        """Wait until a command's answer contains ``expected``."""
        wait_until(lambda: expected in bytes(self.tell(*command)), timeout=10)

    def kill(self) -> None:
        """SIGKILL."""
        self._hang_up()
        self.server.kill()

    def restart(self, *config: str) -> None:
        """Start the server again, with further arguments for this start only."""
        self._hang_up()
        before = self.server._config
        self.server._config = [*before, *config]
        try:
            self.server.restart()
        finally:
            self.server._config = before

    def _hang_up(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.culprit.close()
        self._hang_up()
        self.wire.stop()
        self.server.stop()
