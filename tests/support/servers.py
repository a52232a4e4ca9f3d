"""Real Redis and Valkey servers for tests, on free ports of the loopback interface, handled by pid.

Every server also listens on a unix socket in its own folder. That is how it is known to be ours once it answers, and
how ``Server.client`` looks at it without going through the transport under test.
"""

import os
import random
import shutil
import signal
import socket
import ssl
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlencode

import hiredis

from tests.support import tls
from tests.support.baseline import Baseline
from tests.support.certs import Certificates, certificates
from tests.support.client import Client
from tests.support.engines import does_tls, engines
from tests.support.processes import Processes

__all__ = ["TRANSPORTS", "Address", "Server", "Transport", "free_port"]

Transport = Literal["tcp", "tls", "unix"]
TRANSPORTS: tuple[Transport, ...] = ("tcp", "tls", "unix")

_HOST = "127.0.0.1"
# Below the range that Linux and macOS take outgoing ports from: while a server is down nothing may land on its port,
# least of all the client under test, connecting to itself.
_PORTS = range(12000, 30000)
_START_TIMEOUT = 10.0  # seconds; it takes 20 ms, but the machine may be busy


@dataclass(frozen=True)
class Address:
    """Where a server listens: ``host`` and ``port``, or the ``path`` of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""


class _PortTakenError(RuntimeError):
    """Somebody took the port between our look and the server's bind."""


class Server:
    """One running server; constructing it starts it. ``stop()``, or leaving the ``with`` block, ends it for good.

    Args:
        engine: ``valkey`` or ``redis``, or the path of a binary.
        transport: How clients reach it. TLS is the server's own, or a terminator of ours where it was built without.
        *config: More arguments, such as ``"--maxmemory", "5mb"``.
        save: When it writes snapshots: ``"3600 1"`` leaves one behind at a clean end. Never by default.
        user: An ACL user for clients, allowed everything; None is the default user.
        password: Its password; for the default user the ``requirepass``.
        certs: For TLS: what it shows, and what the URL says to trust.

    Attributes:
        engine: As given.
        transport: As given.
        certs: As given, or the good ones.
        address: Where it listens. Stays the same over a restart.
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
        self.folder = Path(tempfile.mkdtemp(prefix="fc-"))
        self._remove_folder = weakref.finalize(self, _remove_folder, self.folder, os.getpid())
        self._socket = str(self.folder / "s")
        self._binary = engines().get(engine, engine)
        self._login = (user, password)
        # DEBUG is how tests make a server slow; it is refused by default.
        self._config = ["--save", save, "--appendonly", "no", "--enable-debug-command", "yes", *config]
        if user is not None:
            self._config += ["--user", user, "on", f">{password}" if password else "nopass", "~*", "&*", "+@all"]
        elif password is not None:
            self._config += ["--requirepass", password]
        self._baseline: Baseline | None = None
        try:
            self._start()
        except BaseException:
            self._remove_folder()
            raise

    @property
    def pid(self) -> int:
        """Process id of the server itself."""
        return self._processes.pid

    @property
    def alive(self) -> bool:
        """Whether its processes are there. A frozen server's are."""
        return self._processes.alive

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
        return f"{scheme}://{login}{_HOST}:{port or self.address.port}/0{tail}"

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
        return Client.tcp(_HOST, self.address.port, tls=context, login=login)

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing saved. Waits until it is gone."""
        self._processes.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and take bytes, nobody answers."""
        self._processes.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on where it was."""
        self._processes.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM: a clean end, with a snapshot if ``save`` says so. Waits until it is gone."""
        self._processes.terminate()

    def restart(self) -> None:
        """Start again at the same address with the same folder; ends a running server cleanly first."""
        self.terminate()
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                return self._launch()
            except _PortTakenError:
                if time.monotonic() > deadline:
                    raise

    def stop(self) -> None:
        """End it for good and remove its folder. Harmless when called again."""
        self._processes.kill()
        self._remove_folder()

    def reset(self) -> None:
        """Forget what a test left: connections, data, scripts, changed settings and users."""
        if not self.alive:
            raise RuntimeError(f"a test ended the {self.engine} server that others share: it should use fresh_server")
        self.thaw()
        with self.client() as client:
            if self._baseline is None:
                self._baseline = Baseline.read(client)
            self._baseline.restore(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{self.engine} {self.transport} pid={self.pid} {self.address}>"

    def _start(self) -> None:
        if self.transport == "unix":
            self.address = Address(path=self._socket)
            return self._launch()
        for _ in range(5):
            self.address = Address(_HOST, free_port())
            try:
                return self._launch()
            except _PortTakenError:
                continue
        raise RuntimeError("five ports in a row were taken between looking and binding")

    def _launch(self) -> None:
        commands = [self._command()]
        if self.transport == "tls" and not does_tls(self._binary):
            commands.append(tls.command(self.address.port, self._socket, self.certs))
        self._processes = Processes(commands, self.folder)
        try:
            self._wait_until_up(self._processes.log)
        except BaseException:
            self._processes.kill()
            raise

    def _command(self) -> list[str]:
        command = [self._binary, "--bind", _HOST, "--dir", str(self.folder), "--unixsocket", self._socket]
        if self.transport == "tls" and does_tls(self._binary):
            command += ["--port", "0", "--tls-port", str(self.address.port), "--tls-auth-clients", "no"]
            command += ["--tls-cert-file", str(self.certs.cert), "--tls-key-file", str(self.certs.key)]
            command += ["--tls-ca-cert-file", str(self.certs.ca)]
        else:
            command += ["--port", str(self.address.port if self.transport == "tcp" else 0)]
        return command + self._config

    def _wait_until_up(self, log: Path) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if not self.alive:
                said = log.read_text()
                raise (_PortTakenError if "already in use" in said else RuntimeError)(
                    f"the server did not start: {said}"
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to PING within {_START_TIMEOUT} s: {log.read_text()}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        """Whether it answers, its snapshot loaded, and its port accepts. Being refused by an ACL is an answer."""
        try:
            with self.client() as client:
                client("PING")
        except hiredis.ReplyError as error:
            if str(error).startswith("LOADING"):
                return False
        except OSError:
            return False
        return self.transport == "unix" or _accepts(self.address.port)


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((_HOST, port)) == 0


def free_port() -> int:
    """Return a port of the loopback interface that is free now. Somebody may still take it before you do."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((_HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port among 200 of {_PORTS}")


def _remove_folder(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child leaves its parent's folder alone
        shutil.rmtree(folder, ignore_errors=True)
