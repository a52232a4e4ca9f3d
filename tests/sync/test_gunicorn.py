"""gunicorn for real, with each kind of worker, the app imported before the fork."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Server
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
# The worker's arguments, and which app it runs.
KINDS = {
    "prefork": (["--preload", "--worker-class", "sync"], "app"),
    "threads": (["--preload", "--worker-class", "gthread", "--threads", "4"], "app"),
    "gevent": (["--worker-class", "gevent"], "app"),  # it patches in the worker: nothing may be imported before
    "uvicorn": (["--preload", "--worker-class", "uvicorn.workers.UvicornWorker"], "asgi"),
}


@contextmanager
def gunicorn(kind: str, server: Server, prefix: str, folder: Path) -> Iterator[Path]:
    """Two workers on a unix socket; ends them, and holds the log to silence."""
    arguments, name = KINDS[kind]
    where, log = folder / "socket", folder / "log"
    command = [sys.executable, "-m", "gunicorn", f"tests.sync.site:{name}", "--workers", "2", "--bind", f"unix:{where}"]
    environ = os.environ | {"REDIS_URL": server.url, "CACHE_PREFIX": prefix, "WARM": "yes" if name == "app" else ""}
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *arguments], cwd=ROOT, env=environ, stdout=output, stderr=output)  # noqa: S603 - ours
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


def get(where: Path, path: str) -> Any:
    """The answer to a request of its own connection."""
    with closing(_Unix("localhost", timeout=10)) as connection:
        connection.host = str(where)
        connection.request("GET", path, headers={"Host": "localhost", "Connection": "close"})
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())


@pytest.mark.parametrize("kind", KINDS)
def test_workers_share_what_one_of_them_loaded(server: Server, prefix: str, tmp_path: Path, kind: str) -> None:
    with gunicorn(kind, server, prefix, tmp_path) as where:
        workers: set[int] = set()
        found: list[Any] = []

        def both_answered() -> bool:
            try:
                said = get(where, "/k")
            except ConnectionRefusedError:  # bound, and not listening yet
                return False
            workers.add(said["pid"])
            found.append(said["found"])
            if kind != "uvicorn":
                assert said["warm"] == "by the master"
            return len(workers) == 2 and len(found) > 10

        wait_until(both_answered, 20)
        assert all(one == found[0] for one in found)
        assert found[0]["times"] == 1
