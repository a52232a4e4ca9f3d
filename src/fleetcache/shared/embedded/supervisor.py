"""The process that ends an embedded server when no process uses it any more. Run by its path, not as a module.

The supervisor imports a few modules of the standard library and nothing of fleetcache, because it lives as long as the
server. Each process that uses the server holds a shared lock on the folder. So when the supervisor can lock the folder
exclusively, no process uses the server.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["main", "supervise"]

# Seconds between two checks. The server itself wakes up ten times a second.
POLL = 0.25
FILES = ("s", "log", "lock")


class Stop:
    """A flag that a signal sets: the supervisor was told to end."""

    def __init__(self) -> None:
        self.told = False

    def tell(self, *_: object) -> None:
        """Set the flag; a signal handler."""
        self.told = True


def main(arguments: Sequence[str]) -> None:
    """Run as the supervisor; the arguments are ``path folder lock linger command...``.

    ``folder`` and ``lock`` are inherited descriptors: ``folder`` of the folder, not locked, and ``lock`` of the file in
    it whose lock the starting process, the supervisor and the server hold. ``path`` is the folder's path, and
    ``linger`` is in seconds.
    """
    path, folder, lock, linger, *command = arguments
    if os.fork():
        os._exit(0)  # the starting process has no child to wait for, and the supervisor no parent
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.tell)
    signal.signal(signal.SIGINT, stop.tell)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the starting thread may have blocked some
    supervise(path, int(folder), int(lock), float(linger), command, stop)


def supervise(path: str, folder: int, lock: int, linger: float, command: list[str], stop: Stop) -> None:
    """Start the server; end it and remove its files when no process has held ``folder`` for ``linger`` seconds.

    Returns when the server has ended, by the supervisor or by itself.
    """
    os.fchdir(folder)  # the server makes its socket here, by a relative name that is never too long
    with suppress(FileNotFoundError):
        os.unlink("s", dir_fd=folder)  # left by a killed server: this process holds the lock, so no server runs
    os.set_inheritable(folder, False)
    os.set_inheritable(lock, True)  # for the server: while it lives, no process starts a second server
    server = os.posix_spawn(command[0], command, os.environ)
    os.set_inheritable(lock, False)
    dismiss_guard = _guard(server)
    if _wait(server, folder, linger, stop):
        os.kill(server, signal.SIGKILL)  # the server has no data that must survive
        os.waitpid(server, 0)
    dismiss_guard()
    if _nobody_holds(folder):  # otherwise processes with a seat start another server in this folder
        _remove(path, folder)


def _guard(server: int) -> Callable[[], None]:
    """Start a shell that kills the server if the supervisor is killed: the shell's pipe then ends.

    Returns a function that dismisses the shell.
    """
    reading, writing = os.pipe()
    command = ("sh", "-c", f"read _; kill -9 {server}")
    try:
        guard = os.posix_spawn("/bin/sh", command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    except OSError:
        guard = 0  # an image without a shell: no user types killall there either
    os.close(reading)

    def dismiss() -> None:
        if guard:
            os.kill(guard, signal.SIGKILL)
            os.waitpid(guard, 0)
        os.close(writing)

    return dismiss


def _wait(server: int, folder: int, linger: float, stop: Stop) -> bool:
    """Wait until the server must end (True; the folder may then be locked exclusively) or has ended (False)."""
    seen = time.monotonic()
    while os.waitpid(server, os.WNOHANG) == (0, 0):
        if stop.told:
            return True
        if not _nobody_holds(folder):
            seen = time.monotonic()
        elif time.monotonic() - seen >= linger:
            return True
        else:
            fcntl.flock(folder, fcntl.LOCK_UN)
        time.sleep(POLL)
    return False


def _nobody_holds(folder: int) -> bool:
    """Lock the folder exclusively if no process holds it. Return True if it is locked."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: str, folder: int) -> None:
    """Remove the server's files and the folder.

    A process that is waiting for the lock then finds that the folder is gone, and makes a new one.
    """
    for name in FILES:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), os.fstat(folder)):
            os.rmdir(path)  # noqa: PTH106 - importing pathlib would take half as long as all other imports


if __name__ == "__main__":
    main(sys.argv[1:])
