"""Apps in real uvicorn processes, each on a unix socket."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.waiting import wait_until

__all__ = ["client_of", "uvicorns"]

ROOT = Path(__file__).parents[2]


@contextmanager
def uvicorns(app: str, count: int, folder: Path, **environ: str) -> Iterator[list[Path]]:
    """Run this many instances of an app; end them, and assert that their logs have no traceback.

    Args:
        app: Module and name.
        count: The number of processes.
        folder: The folder for their sockets and logs.
        **environ: Variables beside those of this process, without the cache's.
    """
    cleaned = {
        name: value for name, value in os.environ.items() if not name.startswith("CACHE_") and "REDIS" not in name
    }
    sockets = [folder / f"{number}.sock" for number in range(count)]
    command = [sys.executable, "-m", "uvicorn", app, "--lifespan", "on", "--log-level", "warning", "--uds"]
    processes = []
    try:
        for where in sockets:
            with where.with_suffix(".log").open("wb") as log:
                processes.append(
                    subprocess.Popen([*command, str(where)], cwd=ROOT, env=cleaned | environ, stdout=log, stderr=log)  # noqa: S603 - ours
                )
        wait_until(lambda: all(map(_listens, sockets)), 20)
        yield sockets
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        try:
            codes = [process.wait(15) for process in processes]
        finally:
            for process in processes:
                process.kill()
    assert {*codes} <= {0, -signal.SIGTERM}
    logs = [where.with_suffix(".log").read_text() for where in sockets]
    assert "Traceback" not in "".join(logs), logs


def _listens(where: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return where.exists() and probe.connect_ex(str(where)) == 0


def client_of(where: Path) -> httpx.AsyncClient:
    """Return a client of one instance."""
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(where)), base_url="http://shop", timeout=20)
