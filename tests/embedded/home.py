"""Where the tests' embedded servers live, who lives there, and the processes that use them."""

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
LINGER = 0.3  # seconds a server outlives its last user in tests
SOON = 10.0  # seconds in which it must be gone; it takes one, but the machine may be busy


class User(Worker):
    """One process with an embedded cache, see ``worker``. Constructing it starts it, and waits until it connected."""

    def __init__(self, base: Path) -> None:  # not the parent's: another module and other arguments
        command = [sys.executable, "-m", "tests.embedded.worker", str(base), str(LINGER)]
        self.process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours
        self.pid: int = self.receive()

    def ask(self, do: str, **command: Any) -> Any:
        """Give a command and wait for the answer."""
        self.send(do, **command)
        return self.receive()


class Home:
    """A folder for servers, short enough for a socket. Leaving it ends whatever is still there."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="fc-")).resolve()
        self.folder = Folder.choose(str(self.base))
        self._users: list[User] = []

    def user(self) -> User:
        """Another process of ours."""
        self._users.append(User(self.base))
        return self._users[-1]

    @property
    def supervisors(self) -> list[psutil.Process]:
        """Who runs a server here. The one that is about to fork is not yet one."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "pid"])
            if str(self.folder.path) in (process.info["cmdline"] or []) and process.info["cmdline"][1:3] == ["-I", "-S"]
        ]

    @property
    def supervisor(self) -> psutil.Process:
        """The one, and no other."""
        (found,) = self.supervisors
        return found

    @property
    def server(self) -> psutil.Process:
        """The server itself: the supervisor's first child, a shell being the second."""
        return self.supervisor.children()[0]

    def raw(self) -> Client:
        """A raw client of the server."""
        return Client.unix(str(self.folder.socket))

    def is_left(self) -> bool:
        """Whether neither a process nor a file is left."""
        return not self.folder.path.exists() and not self.supervisors  # the dear look only when the cheap one is good

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
    """Whether it runs no more. Who was nobody's child may wait for a first process that does not care."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - pathlib has no cheaper way
