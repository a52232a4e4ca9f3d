"""The process that ends an embedded server when nobody uses it any more. Run by its path, not as a part of the package.

It imports a few modules of the standard library and nothing of ours: it lives beside the server, as long as that. It
knows one thing: who uses the server holds a shared lock on the folder, so nobody does when it can be locked alone.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["main", "supervise"]

# Seconds between two looks. The server itself wakes up ten times a second.
POLL = 0.25
FILES = ("s", "log", "lock")


class Stop:
    """Whether we were told to end: set by a signal."""

    def __init__(self) -> None:
        self.told = False

    def tell(self, *_: object) -> None:
        """As a handler of signals."""
        self.told = True


def main(arguments: Sequence[str]) -> None:
    """Be a supervisor: ``path folder lock linger command...``.

    ``folder`` and ``lock`` are inherited descriptors: the folder, not locked, and the file in it that whoever starts,
    supervises or is the server holds locked. ``path`` is the folder's, and ``linger`` seconds.
    """
    path, folder, lock, linger, *command = arguments
    if os.fork():
        os._exit(0)  # whoever started us has no child of ours to wait for, and we are nobody's
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.tell)
    signal.signal(signal.SIGINT, stop.tell)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the thread that started us may have blocked some
    supervise(path, int(folder), int(lock), float(linger), command, stop)


def supervise(path: str, folder: int, lock: int, linger: float, command: list[str], stop: Stop) -> None:
    """Start the server, and end it and remove its files when nobody held ``folder`` for ``linger`` seconds.

    Returns when the server has ended, by us or by itself.
    """
    os.fchdir(folder)  # the server makes its socket here, by a name that is never too long
    with suppress(FileNotFoundError):
        os.unlink("s", dir_fd=folder)  # of a server that was killed: we hold its lock, so there is none
    os.set_inheritable(folder, False)
    os.set_inheritable(lock, True)  # the server too: as long as it lives nobody starts a second one
    server = os.posix_spawn(command[0], command, os.environ)
    os.set_inheritable(lock, False)
    dismiss_guard = _guard(server)
    if _wait(server, folder, linger, stop):
        os.kill(server, signal.SIGKILL)  # it keeps nothing that could be lost
        os.waitpid(server, 0)
    dismiss_guard()
    if _nobody_holds(folder):  # else they start another one, in here
        _remove(path, folder)


def _guard(server: int) -> Callable[[], None]:
    """A shell that kills the server when we are killed, for its pipe ends then. Returns how to send it away."""
    reading, writing = os.pipe()
    command = ("sh", "-c", f"read _; kill -9 {server}")
    try:
        guard = os.posix_spawn("/bin/sh", command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    except OSError:
        guard = 0  # images without a shell; nobody there types killall either
    os.close(reading)

    def dismiss() -> None:
        if guard:
            os.kill(guard, signal.SIGKILL)
            os.waitpid(guard, 0)
        os.close(writing)

    return dismiss


def _wait(server: int, folder: int, linger: float, stop: Stop) -> bool:
    """Until the server is to end (true: we may hold the folder alone then), or has ended."""
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
    """Whether it can be locked alone; it is, then."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: str, folder: int) -> None:
    """All that is ours. Who waits for the lock meanwhile finds that the folder is gone, and makes a new one."""
    for name in FILES:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), os.fstat(folder)):
            os.rmdir(path)  # noqa: PTH106 - pathlib would take half as long to import as all the rest


if __name__ == "__main__":
    main(sys.argv[1:])
