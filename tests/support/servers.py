"""Real Redis and Valkey servers for our own tests: ``fleetcache.testing.Server``, by every transport and with users.

``Server.client`` looks at a server by its private socket, without going through the transport under test.
"""

import ssl
from typing import Literal
from urllib.parse import quote, urlencode

from fleetcache.testing import server
from fleetcache.testing.server import HOST, Address, free_port
from tests.support import tls
from tests.support.baseline import Baseline
from tests.support.certs import Certificates, certificates
from tests.support.client import Client
from tests.support.engines import does_tls, engines

__all__ = ["TRANSPORTS", "Address", "Server", "Transport", "free_port"]

Transport = Literal["tcp", "tls", "unix"]
TRANSPORTS: tuple[Transport, ...] = ("tcp", "tls", "unix")


class Server(server.Server):
    """One running server; the constructor starts it. ``stop()``, or leaving the ``with`` block, ends it for good.

    Args:
        engine: ``valkey`` or ``redis``, or the path of a binary.
        transport: The clients' transport. TLS is the server's own, or a terminator's if the server was built without.
        *config: More arguments, such as ``"--maxmemory", "5mb"``.
        save: The times of snapshots: ``"3600 1"`` leaves one behind at a clean end. Never by default.
        user: An ACL user for clients, allowed everything; None is the default user.
        password: The user's password; for the default user the ``requirepass``.
        certs: For TLS: the server's certificate, and the CA that the URL trusts.

    Attributes:
        engine: As given.
        transport: As given.
        certs: As given, or the good ones.
        address: The address it listens on. It stays the same over a restart.
        folder: Its private folder: ``dump.rdb``, ``log``, sockets.
    """

    def __init__(
        self,
        engine: str = "valkey",
        transport: Transport = "tcp",
        *config: str,
        save: str = "",
        user: str | None = None,
        password: str | None = None,
        certs: Certificates | None = None,
    ) -> None:
        self.engine = engine
        self.transport = transport
        self.certs = certs or certificates()
        self._login = (user, password)
        self._baseline: Baseline | None = None
        # The tests slow a server down with DEBUG; servers refuse it by default.
        options = ["--save", save, "--enable-debug-command", "yes", *config]
        if user is not None:
            options += ["--user", user, "on", f">{password}" if password else "nopass", "~*", "&*", "+@all"]
        elif password is not None:
            options += ["--requirepass", password]
        super().__init__(*options, binary=engines().get(engine, engine))

    @property
    def url(self) -> str:
        """The URL for a cache, with credentials and the CA to trust."""
        return self.url_for()

    def url_for(self, *, port: int | None = None, **query: object) -> str:
        """Return the URL with another port (a proxy's), or with more or other query parameters."""
        user, password = self._login
        login = "" if password is None else f"{quote(user or '', safe='')}:{quote(password, safe='')}@"
        if self.transport == "tls":
            query = {"ssl_ca_certs": self.certs.ca} | query
        tail = f"?{urlencode(query)}" if query else ""
        if self.transport == "unix" and port is None:
            return f"unix://{login}{self._socket}{tail}"
        scheme = "rediss" if self.transport == "tls" else "redis"
        return f"{scheme}://{login}{HOST}:{port or self.address.port}/0{tail}"

    def client(self, *, user: str | None = None, password: str | None = None, direct: bool = True) -> Client:
        """Connect a raw client, as the server's user unless another is given.

        Args:
            user: Another user.
            password: Its password.
            direct: By the private unix socket; False goes through the transport under test.
        """
        login = self._login if user is None and password is None else (user, password)
        if direct or self.transport == "unix":
            return Client.unix(self._socket, login=login)
        context = ssl.create_default_context(cafile=self.certs.ca) if self.transport == "tls" else None
        return Client.tcp(HOST, self.address.port, tls=context, login=login)

    def reset(self) -> None:
        """Remove a test's leftovers: connections, data, scripts, changed settings and users."""
        if not self.alive:
            raise RuntimeError(f"a test ended the {self.engine} server that others share: it should use fresh_server")
        self.thaw()
        with self.client() as client:
            if self._baseline is None:
                self._baseline = Baseline.read(client)
            self._baseline.restore(client)

    def _start(self) -> None:
        if self.transport == "unix":
            self.address = Address(path=self._socket)
            return self._launch()
        return super()._start()

    def _commands(self) -> list[list[str]]:
        if self.transport != "tls":
            return super()._commands()  # with a unix socket only, the port is 0
        if does_tls(self._binary):
            options = ["--port", "0", "--tls-port", str(self.address.port), "--tls-auth-clients", "no"]
            options += ["--tls-cert-file", str(self.certs.cert), "--tls-key-file", str(self.certs.key)]
            options += ["--tls-ca-cert-file", str(self.certs.ca)]
            return [[*self._own_command(), *options, *self._config]]
        terminator = tls.command(self.address.port, self._socket, self.certs)
        return [[*self._own_command(), "--port", "0", *self._config], terminator]
