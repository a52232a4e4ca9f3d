"""A real gunicorn on a unix socket, with any app and any kind of worker."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until

__all__ = ["asked", "get", "gunicorn"]

ROOT = Path(__file__).parents[2]


@contextmanager
def gunicorn(app: str, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Run two workers; end them, and assert that the log has no errors."""
    where, log = folder / "socket", folder / "log"
    command = [sys.executable, "-m", "gunicorn", app, "--workers", "2", "--bind", f"unix:{where}", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | dict(environ), stdout=output, stderr=output)  # noqa: S603 - ours
    try:
        wait_until(where.exists, 20)
        yield where
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()
    assert "Exception" not in log.read_text()


class _Unix(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.host)


def asked(where: Path, path: str, method: str = "GET", cookie: str = "") -> tuple[Any, http.client.HTTPMessage]:
    """Send a request on its own connection; return the answer, and its headers.

    Raises:
        ConnectionRefusedError: The socket is bound, but no worker listens yet.
    """
    with closing(_Unix("localhost", timeout=10)) as connection:
        connection.host = str(where)
        connection.request(method, path, headers={"Host": "localhost", "Connection": "close", "Cookie": cookie})
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read()), answer.headers


def get(where: Path, path: str) -> Any:
    """Send a request and return the answer."""
    return asked(where, path)[0]
