"""``examples/django`` for real: under gunicorn with threads, under uvicorn, and by its ``manage.py`` words."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetcache.testing.server import free_port
from tests.support.servers import Server
from tests.support.waiting import wait_until

FOLDER = Path(__file__).parents[2] / "examples" / "django"
SERVERS = {
    "wsgi": ["gunicorn", "shop:wsgi", "--workers=2", "--threads=4", "--preload", "--bind=127.0.0.1:{port}"],
    "asgi": ["uvicorn", "shop:asgi", "--workers=2", "--port={port}", "--log-level=warning"],
}


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
        return json.load(answer)


@contextmanager
def served(kind: str, environ: dict[str, str], log: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[kind])]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=FOLDER, env=os.environ | environ, stdout=output, stderr=output)  # noqa: S603 - ours
    try:
        wait_until(lambda: up(port), 20)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()


def up(port: int) -> bool:
    try:
        return bool(get(port, "healthz")["status"])
    except OSError:
        return False


@pytest.mark.parametrize("kind", SERVERS)
def test_all_workers_and_both_kinds_of_views_show_one_report(
    kind: str, shared_servers: Callable[[str, str], Server], prefix: str, tmp_path: Path
) -> None:
    environ = {"REDIS_URL": shared_servers("valkey", "tcp").url, "SECRET_KEY": prefix * 8}
    with served(kind, environ, tmp_path / "log") as port:
        first = get(port, "")["report"]
        workers: set[int] = set()

        def both_answered() -> bool:
            for path in ("", "async"):
                said = get(port, path)
                assert said["report"] == first
                workers.add(said["answered_by"])
            return len(workers) == 2

        wait_until(both_answered, 20)
        assert get(port, "page") == get(port, "page")
        assert get(port, "healthz")["status"] == "healthy"
        assert get(port, "forget") == {"was_there": True}
        assert get(port, "")["report"] != first


def test_its_checks_pass_and_say_what_a_deployment_lacks() -> None:
    def check(*more: str) -> str:
        command = [sys.executable, "shop.py", "check", "--tag=caches", *more]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("CACHE_", "REDIS_"))}
        ended = subprocess.run(command, cwd=FOLDER, env=environ, capture_output=True, text=True, check=True)  # noqa: S603 - ours
        return ended.stdout + ended.stderr

    assert "no issues" in check()
    assert "fleetcache.W002" in check("--deploy")
