"""The folder of the tests' embedded servers, the servers' processes, and the processes that use them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from fleetcache.shared.embedded.folder import Folder
from tests.promises.fleet import Worker
from tests.support.client import Client
from tests.support.waiting import wait_until

__all__ = ["LINGER", "SOON", "Home", "User", "descriptors", "ended"]

_ROOT = Path(__file__).parents[2]
LINGER = 0.3  # seconds that a server outlives its last user in tests
SOON = 10.0  # seconds until the server must be gone; it takes one, but the machine may be busy


class User(Worker):
    """One process with an embedded cache, see ``worker``. The constructor starts it and waits until it is connected."""

    def __init__(self, base: Path) -> None:  # instead of the parent class's: another module and other arguments
        command = [sys.executable, "-m", "tests.embedded.worker", str(base), str(LINGER)]
        self.process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours
        self.pid: int = self.receive()

    def ask(self, do: str, **command: Any) -> Any:
        """Send a command and return the answer."""
        self.send(do, **command)
        return self.receive()


class Home:
    """A folder for servers, with a path short enough for a socket. The end of the ``with`` block ends all servers."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="fc-")).resolve()
        self.folder = Folder.choose(str(self.base))
        self._users: list[User] = []

    def user(self) -> User:
        """Start another process with a cache."""
        self._users.append(User(self.base))
        return self._users[-1]

    @property
    def supervisors(self) -> list[psutil.Process]:
        """The processes that run a server here. A process that is about to fork does not count yet."""
        found = [
            process
            for process in psutil.process_iter(["cmdline", "pid", "ppid"])
            if str(self.folder.path) in (process.info["cmdline"] or []) and process.info["cmdline"][1:3] == ["-I", "-S"]
        ]
        # Between its fork and its exec, a supervisor's child has the supervisor's command line.
        pids = {process.info["pid"] for process in found}
        return [process for process in found if process.info["ppid"] not in pids]

    @property
    def supervisor(self) -> psutil.Process:
        """The only supervisor."""
        (found,) = self.supervisors
        return found

    @property
    def server(self) -> psutil.Process:
        """The server itself: the supervisor's first child; the second is a shell."""
        return self.supervisor.children()[0]

    def raw(self) -> Client:
        """Return a raw client of the server."""
        return Client.unix(str(self.folder.socket))

    def is_left(self) -> bool:
        """Return True if neither a process nor a file is left."""
        return not self.folder.path.exists() and not self.supervisors  # the cheap check first

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for user in self._users:
            user.kill()
        for process in self.supervisors:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
        wait_until(lambda: not self.supervisors, SOON)
        shutil.rmtree(self.base, ignore_errors=True)


def ended(process: psutil.Process) -> bool:
    """Return True if the process has ended. An orphan may stay a zombie, if the first process does not reap it."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def descriptors() -> int:
    """Return the number of files that this process has open."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - pathlib has no cheaper way
