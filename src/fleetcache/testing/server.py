"""A real server for tests: Valkey or Redis on a free port of the loopback interface, controlled by its process id.

The server also listens on a unix socket in its own folder. An answer on this socket comes from this server and no
other.
"""

import os
import random
import shutil
import signal
import socket
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..shared.embedded.binary import find_server
from .processes import Processes

__all__ = ["HOST", "Address", "PortTakenError", "Server", "free_port"]

HOST = "127.0.0.1"
# Below the range from which Linux and macOS take outgoing ports. While a server is down, no other connection may get
# its port, least of all the client under test, which would connect to itself.
_PORTS = range(12000, 30000)
_START_TIMEOUT = 10.0  # seconds; a start takes 20 ms, but the machine may be busy
_TRIES = 5  # ports; another process may take a port between the check and the server's bind


@dataclass(frozen=True)
class Address:
    """The address of a server: ``host`` and ``port``, or the ``path`` of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""


class PortTakenError(RuntimeError):
    """Another process took the port between the check and the server's bind."""


class Server:
    """A running server, started by the constructor. ``stop()``, or leaving the ``with`` block, ends it for good.

    The server keeps no data on disk, and ends with the process that started it, even if that process is killed.

    Args:
        *config: More arguments for the server, such as ``"--maxmemory", "5mb"``.
        binary: The server's executable; by default the Valkey of the extra ``embedded``, else a server on PATH.

    Raises:
        EmbeddedError: There is no server to start; the text names the package to install.
        RuntimeError: The server ended while it started; the text holds the server's output.
        TimeoutError: The server does not answer within 10 s.

    Attributes:
        address: The server's address. It stays the same over a restart.
        folder: The server's private folder, with its ``log``.

    Example:
        >>> with Server() as server:
        ...     server.alive
        True
    """

    def __init__(self, *config: str, binary: str | Path | None = None) -> None:
        self._binary = str(binary or find_server())
        self._config = ["--save", "", "--appendonly", "no", *config]
        self.folder = Path(tempfile.mkdtemp(prefix="fc-"))  # short: a socket's path has 104 bytes on macOS
        self._remove_folder = weakref.finalize(self, _remove_folder, self.folder, os.getpid())
        self._socket = str(self.folder / "s")
        try:
            self._start()
        except BaseException:
            self._remove_folder()
            raise

    @property
    def url(self) -> str:
        """The server's URL, for a cache or for ``Proxy``."""
        return f"redis://{self.address.host}:{self.address.port}/0"

    @property
    def pid(self) -> int:
        """Process id of the server itself."""
        return self._processes.pid

    @property
    def alive(self) -> bool:
        """True while the server's processes exist; a frozen server counts."""
        return self._processes.alive

    def kill(self) -> None:
        """Send SIGKILL, so that the server ends without a clean shutdown, and wait until it is gone."""
        self._processes.kill()

    def freeze(self) -> None:
        """Send SIGSTOP: connections stay open and accept bytes, but the server does not answer."""
        self._processes.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT: the server continues."""
        self._processes.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Send SIGTERM for a clean shutdown, and wait until the server is gone."""
        self._processes.terminate()

    def restart(self) -> None:
        """Start an empty server at the same address; end a running server first."""
        self.terminate()
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                return self._launch()
            except PortTakenError:
                if time.monotonic() > deadline:
                    raise

    def flush(self) -> None:
        """Remove all keys of the server.

        Raises:
            RuntimeError: The server refuses; the text holds its answer.
        """
        said = self._say(b"FLUSHALL")
        if not said.startswith(b"+OK"):
            raise RuntimeError(f"the server answered FLUSHALL with {said!r}")

    def stop(self) -> None:
        """End the server for good and remove its folder. A second call has no effect."""
        self._processes.kill()
        self._remove_folder()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {Path(self._binary).name} pid={self.pid} {self.address}>"

    def _start(self) -> None:
        for _ in range(_TRIES):
            self.address = Address(HOST, free_port())
            try:
                return self._launch()
            except PortTakenError:
                continue
        raise RuntimeError(f"{_TRIES} ports in a row were taken between looking and binding")

    def _launch(self) -> None:
        self._processes = Processes(self._commands(), self.folder)
        try:
            self._wait_until_up(self._processes.log)
        except BaseException:
            self._processes.kill()
            raise

    def _commands(self) -> list[list[str]]:
        """Return the command lines to run, the server's own first."""
        return [[*self._own_command(), "--port", str(self.address.port), *self._config]]

    def _own_command(self) -> list[str]:
        return [self._binary, "--bind", HOST, "--dir", str(self.folder), "--unixsocket", self._socket]

    def _wait_until_up(self, log: Path) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if not self.alive:
                said = log.read_text()
                problem = PortTakenError if "already in use" in said else RuntimeError
                raise problem(f"the server did not start: {said}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to PING within {_START_TIMEOUT} s: {log.read_text()}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        """Return True if the server answers, has loaded its snapshot, and its port accepts.

        A request for a password is an answer.
        """
        try:
            said = self._say(b"PING")
        except OSError:
            return False
        return bool(said) and not said.startswith(b"-LOADING") and (not self.address.port or _accepts(self.address))

    def _say(self, command: bytes) -> bytes:
        """Return the answer to one command without arguments, by the private socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_START_TIMEOUT)
            sock.connect(self._socket)
            sock.sendall(command + b"\r\n")
            return sock.recv(1000)


def _accepts(address: Address) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((address.host, address.port)) == 0


def _remove_folder(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child leaves its parent's folder alone
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of the loopback interface that is free now. Another process may still take it before you do.

    Raises:
        RuntimeError: None of 200 ports tried is free.
    """
    for port in random.sample(_PORTS, 200):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port among 200 of {_PORTS}")
