"""Starts a supervisor, which starts the server: the command lines, the environment, and the lock that is passed on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import supervisor
from .binary import find_server
from .errors import EmbeddedError
from .folder import Folder
from .locks import FileLock

__all__ = ["LINGER", "launch"]

LINGER = 5.0
"""Seconds the server outlives the last process: an app that reloads or restarts its only worker keeps its cache."""

# Bytes at the end of the server's log to show in an error.
TAIL = 500
# The variables that locate programs and their libraries. The rest of the environment may hold passwords, so it is not
# passed to a process that outlives this one.
HANDED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")


def launch(folder: Folder, opened: int, lock: FileLock, max_bytes: int, *, timeout: float) -> None:
    """Start a server for ``folder``, without waiting until it listens.

    Args:
        folder: The server's folder.
        opened: The folder's descriptor.
        lock: The exclusive lock on the file ``lock`` in the folder, passed to the supervisor and the server without a
            gap.
        max_bytes: The bound of the server's memory, without its tracking table.
        timeout: Seconds for the supervisor to come up.

    Raises:
        EmbeddedError: No server or no Python to start was found, or the start failed.
        OSError: The folder cannot be written.
    """
    command = [interpreter(), "-I", "-S", supervisor.__file__, str(folder.path)]
    server = server_command(find_server(), max_bytes)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=opened)
    # Opened again: a lock belongs to one opening of the folder, and the supervisor must not share this process's seat.
    own = FileLock(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=opened))
    try:
        subprocess.run(  # noqa: S603 - the package's own script and a server of find_server
            [*command, str(own.descriptor), str(lock.descriptor), str(LINGER), str(max_bytes), *server],
            pass_fds=(own.descriptor, lock.descriptor),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: os.environ[name] for name in HANDED_ON if name in os.environ},
            cwd="/",
            start_new_session=True,  # Ctrl-C in the app's terminal must not reach it
            check=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise EmbeddedError("timeout", f"{command[0]} did not start within {timeout:.1f} s") from None
    except (subprocess.CalledProcessError, OSError) as error:
        raise EmbeddedError("embedded_start", f"{command[0]} did not start: {error}; {last_words(opened)}") from None
    finally:
        os.close(log)
        own.close()


def server_command(binary: Path, max_bytes: int) -> list[str]:
    """Return the server's command line.

    The server runs in its folder, so paths are relative: no path is too long or contains a blank.
    """
    options = {
        "port": "0",  # no TCP
        "unixsocket": "s",
        "unixsocketperm": "700",
        "save": "",  # nothing on disk: the server is a cache
        "appendonly": "no",
        "maxmemory": str(max_bytes),
        "maxmemory-policy": "allkeys-lru",  # when full, evict the least recently used entries instead of failing
        "databases": "1",
        "daemonize": "no",
        "logfile": "",
        "loglevel": "warning",  # the log explains a failed start; it does not grow
    }
    return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]


def interpreter(executable: str | None = sys.executable, *, frozen: bool = hasattr(sys, "frozen")) -> str:
    """Return a Python to run the supervisor. In uWSGI and frozen applications ``sys.executable`` is not a Python."""
    if executable and not frozen and Path(executable).name.lower().startswith(("python", "pypy")):
        return executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    beside = str(Path(sys.base_prefix) / "bin")
    found = shutil.which(version, path=beside) or shutil.which(version) or shutil.which("python3")
    if found is None:
        raise EmbeddedError("embedded_start", f"{executable!r} is not a Python for the supervisor; put python3 on PATH")
    return found


def last_words(opened: int) -> str:
    """Return the end of the server's log, in one line."""
    try:
        descriptor = os.open("log", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
    except OSError:
        return "no log"
    with os.fdopen(descriptor, "rb") as log:
        log.seek(max(0, os.fstat(descriptor).st_size - TAIL))
        return " ".join(log.read().decode(errors="replace").split()) or "no word in the log"
