"""Real servers with several workers share one cache, with one variable set and nothing installed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.embedded.home import SOON, Home
from tests.support.run import run
from tests.support.waiting import eventually, wait_until

ROOT = Path(__file__).parents[2]
WORKERS = 4
PATIENCE = 30.0  # seconds until all workers are up, and until each has had a request: a busy worker gets none
PACE = 0.005  # seconds between two requests: a worker that sleeps in between leaves some to the others
UVICORN = ["uvicorn", "--workers", str(WORKERS), "--log-level", "warning", "--uds"]
GUNICORN = ["gunicorn", "--workers", str(WORKERS), "--worker-class", "asgi", "--log-level", "warning", "--bind"]


@contextmanager
def serving(command: list[str], home: Home) -> Iterator[httpx.AsyncHTTPTransport]:
    """Run an HTTP server with several workers on a unix socket, and end it as a service manager does."""
    http = home.base / "http"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CACHE_", "REDIS_"))}
    ours = {"CACHE_DRIVER": "embedded", "CACHE_PREFIX": "shop", "LOADS": str(home.base / "loads")}
    ours |= {"XDG_RUNTIME_DIR": str(home.base), "CACHE_OPERATION_TIMEOUT": "2s"}  # the machine may be busy
    server = subprocess.Popen(  # noqa: S603 - ours
        [
            sys.executable,
            "-m",
            *command,
            f"unix:{http}" if "--bind" in command else str(http),
            "tests.embedded.app:app",
        ],
        cwd=ROOT,
        env=clean | ours,
        start_new_session=True,
    )
    try:
        wait_until(http.exists, PATIENCE)
        yield httpx.AsyncHTTPTransport(uds=str(http))
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


async def ask(http: httpx.AsyncClient, path: str) -> tuple[int, Any]:
    """Return the process that answered, and its answer."""
    body = (await http.get(path)).json()
    return body["pid"], body["said"]


async def ask_often(http: httpx.AsyncClient, path: str) -> list[tuple[int, Any]]:
    """Send one request after the other, without waiting for the answers."""

    async def ask_later(number: int) -> tuple[int, Any]:
        await asyncio.sleep(PACE * number)
        return await ask(http, path)

    return await asyncio.gather(*(ask_later(number) for number in range(10 * WORKERS)))


async def ask_all(http: httpx.AsyncClient, path: str) -> dict[int, set[str]]:
    """Ask until every worker has answered; return the answers by process, all from the same time."""
    said: dict[int, set[str]] = {}

    async def all_have_answered() -> bool:
        for pid, answer in await ask_often(http, path):
            said.setdefault(pid, set()).add(str(answer))
        return len(said) == WORKERS

    await eventually(all_have_answered, PATIENCE)
    return said


@pytest.mark.parametrize("command", [UVICORN, GUNICORN], ids=["uvicorn", "gunicorn"])
def test_the_workers_share_one_cache(command: list[str], home: Home) -> None:
    async def scene(transport: httpx.AsyncHTTPTransport) -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://app", timeout=PATIENCE) as http:
            reports: dict[int, dict[str, Any]] = {}

            async def all_are_up() -> bool:
                with suppress(httpx.ConnectError):  # the socket exists before a worker listens
                    reports.update(await ask_often(http, "/health"))
                return len(reports) == WORKERS and all(report["shared"] for report in reports.values())

            await eventually(all_are_up, PATIENCE)
            assert {report["active"] for report in reports.values()} == {"embedded"}

            answers = await ask_all(http, "/price/tea")
            (told,) = set.union(*answers.values())  # one value for all of them
            assert loads.read_bytes() == b"."  # from one load

            pid, removed = await ask(http, "/forget/tea")
            assert removed, pid
            renewed = await ask_all(http, "/price/tea")
            assert len(loads.read_bytes()) == 2
            assert all(answer.startswith("tea") for answer in set.union(*renewed.values()))
            assert len(home.supervisors) == 1
            assert told.startswith("tea")

    loads = home.base / "loads"
    with serving(command, home) as transport:
        run(scene(transport))
    wait_until(home.is_left, SOON)
