"""The process that ends an embedded server when no process uses it any more. Run by its path, not as a module.

The supervisor imports a few modules of the standard library and nothing of fleetcache, because it lives as long as the
server. Rules:

1. Each process that uses the server holds a shared lock on the folder. So when the supervisor can lock the folder
   exclusively, no process uses the server.
2. The bound of the server's memory is for data. The server counts its tracking table, too, which grows with each
   process that reads a key. So the supervisor raises the bound by the size of the table, at most to twice the bound,
   and lowers it again with the table.
"""

import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["main", "supervise"]

# Seconds between two checks. The server itself wakes up ten times a second. A host full of processes that begin to read
# at the same moment fills the tracking table with some 30 MB a second.
POLL = 0.1
# Seconds that the server has for an answer.
ANSWER = 0.25
FILES = ("s", "log", "lock")
# Bytes of a key in the tracking table and of each of its readers: those of ``wire.tracking_table``.
KEY_BYTES, READER_BYTES = 100, 63
# The bound moves in steps of this part of itself, so that a quiet server is not set again and again.
STEP = 1 / 128


class Stop:
    """A flag that a signal sets: the supervisor was told to end."""

    def __init__(self) -> None:
        self.told = False

    def tell(self, *_: object) -> None:
        """Set the flag; a signal handler."""
        self.told = True


class Memory:
    """The bound of the server's memory.

    Args:
        path: Path of the server's socket.
        data: Bytes of the bound that are for data.
    """

    def __init__(self, path: str, data: int) -> None:
        self._path, self._data, self._set = path, data, data
        self._socket: socket.socket | None = None

    def fit(self) -> None:
        """Fit the bound to the tracking table. A server that does not answer now is asked again the next time."""
        try:
            wanted = self._data + min(self._table(), self._data)
            if abs(wanted - self._set) >= self._data * STEP:
                self._ask(b"CONFIG SET maxmemory %d" % wanted)
                self._set = wanted
        except (OSError, ValueError):  # not up yet, frozen, or ended; or a reply that no server gives
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _table(self) -> int:
        """Return about how many bytes the tracking table takes."""
        lines = self._ask(b"INFO stats").splitlines()
        numbers = {name: int(said) for name, _, said in (line.partition(b":") for line in lines) if said.isdigit()}
        keys, readers = numbers.get(b"tracking_total_keys", 0), numbers.get(b"tracking_total_items", 0)
        return keys * KEY_BYTES + readers * READER_BYTES

    def _ask(self, command: bytes) -> bytes:
        """Return the reply to one command: a text without its length, or a line."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(ANSWER)
            self._socket.connect(self._path)
        self._socket.sendall(command + b"\r\n")
        line, _, text = _until(self._socket, b"", lambda reply: b"\r\n" in reply).partition(b"\r\n")
        if not line.startswith(b"$"):
            return line
        size = int(line[1:]) + len(b"\r\n")
        return _until(self._socket, text, lambda reply: len(reply) >= size)


def _until(sock: socket.socket, received: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
    """Receive until the bytes are a whole reply, and return them."""
    while not is_whole(received):
        data = sock.recv(65_536)
        if not data:
            raise ConnectionResetError
        received += data
    return received


def main(arguments: Sequence[str]) -> None:
    """Run as the supervisor; the arguments are ``path folder lock linger max_bytes command...``.

    ``folder`` and ``lock`` are inherited descriptors: ``folder`` of the folder, not locked, and ``lock`` of the file in
    it whose lock the starting process, the supervisor and the server hold. ``path`` is the folder's path, and
    ``linger`` is in seconds. ``max_bytes`` is the bound of the server's memory, which the command has set.
    """
    path, folder, lock, linger, max_bytes, *command = arguments
    if os.fork():
        os._exit(0)  # the starting process has no child to wait for, and the supervisor no parent
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.tell)
    signal.signal(signal.SIGINT, stop.tell)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the starting thread may have blocked some
    # Relative, as the server's own: no path is too long for a socket.
    supervise(path, int(folder), int(lock), float(linger), command, stop, Memory(FILES[0], int(max_bytes)))


def supervise(
    path: str, folder: int, lock: int, linger: float, command: list[str], stop: Stop, memory: Memory | None = None
) -> None:
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
    if _wait(server, folder, linger, stop, memory):
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


def _wait(server: int, folder: int, linger: float, stop: Stop, memory: Memory | None) -> bool:
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
        if memory is not None:
            memory.fit()
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
