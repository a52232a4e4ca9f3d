"""The scene's server, Valkey or Redis: in a private folder, killed and restarted as the story needs it."""

import contextlib
import re
import shutil
import socket
import subprocess
from pathlib import Path

from fleetcache.shared.embedded.binary import find_server
from fleetcache.testing.server import HOST, free_port

from .plan import SceneError
from .processes import Process

__all__ = ["Valkey"]

_START_TIMEOUT = 4.0  # seconds; it takes 20 ms. With the search for a binary it stays under the promised five
_REPLY_TIMEOUT = 2.0  # seconds


class Valkey:
    """A server that listens on one port for the whole scene. ``start()`` begins its life, or the next one.

    Args:
        folder: The folder for its snapshot and its log.

    Attributes:
        version: Its own name, and its number: ``Valkey 9.1.0``.

    Raises:
        EmbeddedError: There is no server to start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binary = str(find_server())
        self.version = _version(self._binary)
        self._port = free_port()
        self._process: Process | None = None
        self._kept = folder / "kept.rdb"

    @property
    def url(self) -> str:
        """The URL for ``REDIS_URL``."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def alive(self) -> bool:
        """True if its process runs."""
        return self._process is not None and self._process.alive

    def start(self, *, from_snapshot: bool = False) -> None:
        """Start it, empty or with the snapshot of the last ``save()``, and wait until it answers."""
        dump = self._folder / "dump.rdb"
        dump.unlink(missing_ok=True)
        if from_snapshot:
            shutil.copy(self._kept, dump)
        command = [self._binary, "--bind", HOST, "--port", str(self._port), "--dir", str(self._folder)]
        command += ["--save", "", "--appendonly", "no"]  # nothing is written unless the story says so
        self._process = Process("valkey", command, self._folder)
        self._process.wait_until(self._answers, _START_TIMEOUT)

    def save(self) -> None:
        """Write a snapshot, and keep it for a later start."""
        if (reply := self.command("SAVE")) != "+OK":
            raise SceneError(f"SAVE: {reply}")
        shutil.copy(self._folder / "dump.rdb", self._kept)

    def kill(self) -> None:
        """Kill it by SIGKILL: no goodbye, nothing saved."""
        if self._process is not None:
            self._process.kill()

    def command(self, *words: str) -> str:
        """Send one command whose reply is one line, and return that line."""
        with socket.create_connection((HOST, self._port), _REPLY_TIMEOUT) as sock:
            sock.sendall(b"".join([b"*%d\r\n" % len(words), *(_bulk(word) for word in words)]))
            with sock.makefile("rb") as replies:
                return replies.readline().decode().rstrip()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.command("PING") == "+PONG"
        return False


def _bulk(word: str) -> bytes:
    encoded = word.encode()
    return b"$%d\r\n%s\r\n" % (len(encoded), encoded)


def _version(binary: str) -> str:
    asked = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True, timeout=_REPLY_TIMEOUT)  # noqa: S603 - the server that we are about to start
    found = re.match(r"(\w+) server v=([\d.]+)", asked.stdout)
    if found is None:
        raise SceneError(f"{binary} --version says {asked.stdout.strip() or asked.stderr.strip()!r}: is it a server?")
    return " ".join(found.groups())
