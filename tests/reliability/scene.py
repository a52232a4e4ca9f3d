"""Where one fault is played: a server of its own, the way to it, and an administrator's connection that outlives it."""

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
    """Constructing it starts the server. To be left by ``with``.

    Args:
        engine: ``redis`` or ``valkey``.
        transport: How caches reach it.
        network: Whether the way of the cache that suffers leads through the proxy.
        password: What the server asks for.

    Attributes:
        culprit: Another connection, for commands that are not answered soon.
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
        """For the cache that suffers."""
        return self.wire.url if self._network else self.server.url

    def tell(self, *command: str | int | bytes) -> Any:
        """Send a command, by the private socket."""
        if self._admin is None:
            with self.server.client() as client:  # whatever befalls the default user, this one can undo it
                client("ACL", "SETUSER", *_KEEPER, "~*", "&*", "+@all")
            self._admin = self.server.client(user="keeper", password="kept")  # noqa: S106 - of a server that lives for seconds
        return self._admin(*command)

    def throw_out(self) -> None:
        """End every connection but the administrator's."""
        self.tell("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def until_said(self, expected: bytes, *command: str) -> None:
        """Wait until a command's answer holds that."""
        wait_until(lambda: expected in bytes(self.tell(*command)), timeout=10)

    def kill(self) -> None:
        """SIGKILL."""
        self._hang_up()
        self.server.kill()

    def restart(self, *config: str) -> None:
        """Start it again, with more arguments for this once."""
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
