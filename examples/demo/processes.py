"""Child processes of the scene: started, known by pid, and gone with the scene at any end of it."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .plan import SceneError

__all__ = ["Process", "environment"]

START_TIMEOUT = 20.0  # seconds; a Python server takes one, but several start at once and the machine may be busy
_STOP_TIMEOUT = 3.0  # seconds for open requests to end
_PAUSE = 0.02  # seconds between two checks
_LOG_LINES = 8  # of a process's last words in an error


class Process:
    """One child process.

    Args:
        name: Its name, in errors too.
        command: Its command line.
        folder: The scene's folder: the process's current folder, with its log.
        env: Its environment; the parent's by default.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            # In its own session the child gets no Ctrl-C: the scene does, and ends its processes in its own order.
            self._child = subprocess.Popen(  # noqa: S603 - our own command lines, no shell
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=folder, start_new_session=True
            )
        # If the scene is killed, its end of the pipe closes; the shell then reads on and cleans up.
        script = f"read _; kill -9 {self.pid}; rm -rf {shlex.quote(str(folder))}"
        self._guard = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - a pid and a folder of ours

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """True if the process runs."""
        return self._child.poll() is None

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

    def wait_until(self, ready: Callable[[], bool], timeout: float = START_TIMEOUT) -> None:
        """Wait for a condition, as long as the process lives.

        Raises:
            SceneError: The process ended, or the condition did not come within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.alive:
                raise SceneError(f"{self.name} ended with status {self._child.returncode}:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise SceneError(f"{self.name} was not ready within {timeout:g} s:\n{self.last_words()}")
            time.sleep(_PAUSE)

    def kill(self) -> None:
        """Kill the process by SIGKILL, and wait for its end."""
        self._child.kill()
        self._child.wait()
        self._dismiss_guard()

    def ask_to_stop(self) -> None:
        """Send SIGTERM. The scene asks several processes before it waits for the first."""
        self._child.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL if that takes too long. A process that is gone already does no harm."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_STOP_TIMEOUT)
        self.kill()

    def _dismiss_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def environment(packages: Path, **variables: str) -> dict[str, str]:
    """Return this environment with these variables, and without variables that would set up a cache or the app.

    Args:
        packages: A further folder of the child's modules.
        **variables: The variables to add.
    """
    ours = ("CACHE_", "REDIS_URL", "GEO_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # Absolute, because the child's current folder is another one.
    theirs = [os.path.abspath(each) for each in inherited.get("PYTHONPATH", "").split(os.pathsep) if each]  # noqa: PTH100 - text in, text out
    path = os.pathsep.join([str(packages), *theirs])
    return inherited | {"NO_PROXY": "127.0.0.1", "PYTHONPATH": path} | variables
