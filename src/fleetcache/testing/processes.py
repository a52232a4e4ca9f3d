"""Child processes that start and end together and never outlive the test run, even if the run is killed."""

import atexit
import os
import shlex
import signal
import subprocess
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

__all__ = ["Processes"]

_running: "weakref.WeakSet[Processes]" = weakref.WeakSet()


class Processes:
    """A group of child processes: a main process, which is the first, and its helpers.

    Args:
        commands: One command line per process.
        folder: The folder of the processes. Their output goes to its file ``log``. The folder is removed with the
            processes if the test run is killed.
    """

    def __init__(self, commands: Sequence[Sequence[str]], folder: Path) -> None:
        self._owner = os.getpid()
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self._children = [_spawn(command, output) for command in commands]
        # When the test run is killed, its end of the pipe closes: ``read`` returns, and the shell ends the children.
        pids = " ".join(str(child.pid) for child in self._children)
        script = f"read _; kill -9 {pids}; rm -rf {shlex.quote(str(folder))}"
        self._guard = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - pids only
        _running.add(self)

    @property
    def pid(self) -> int:
        """Process id of the main process."""
        return self._children[0].pid

    @property
    def alive(self) -> bool:
        """True while all processes exist; a frozen process counts."""
        return all(child.poll() is None for child in self._children)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes."""
        for child in self._children:
            child.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL to all processes, and wait until they are gone."""
        if os.getpid() != self._owner:
            return  # a forked child of the tests inherits this object, not the right to end the servers
        for child in self._children:
            child.kill()
            child.wait()
        self._dismiss_guard()

    def terminate(self, timeout: float = 5) -> None:
        """Send SIGTERM to all processes, and wait until they are gone; send SIGKILL after ``timeout`` seconds."""
        for child in self._children:
            child.terminate()
            child.send_signal(signal.SIGCONT)  # a frozen process does not handle SIGTERM
            try:
                child.wait(timeout)
            except subprocess.TimeoutExpired:
                break
        self.kill()

    def _dismiss_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin:
            self._guard.stdin.close()
        _running.discard(self)


@atexit.register
def _end_all() -> None:
    for processes in list(_running):
        processes.kill()


def _spawn(command: Sequence[str], output: BinaryIO) -> "subprocess.Popen[bytes]":
    # A separate session, so that Ctrl-C in the terminal reaches only pytest, which then stops servers in its own order.
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - ours
