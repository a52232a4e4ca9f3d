"""The page on several workers: each command that it shows runs its app, and the workers share one load."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import GetServer
from tests.docs.pages import DOCS, blocks
from tests.support.gunicorn import get
from tests.support.waiting import wait_until

PAGE = (DOCS / "workers.md").read_text(encoding="utf-8")
COMMANDS = [line for block in blocks(PAGE, "sh") for line in block.code.splitlines()]
FEW = "2"  # workers, instead of the page's four: the test's machine is small
PATIENCE = 30.0


def apps() -> dict[str, str]:
    """Return the files that the page shows, by name."""
    titled = [(re.search(r'title="(\S+)"', block.info), block.code) for block in blocks(PAGE, "python")]
    return {title[1]: code for title, code in titled if title}


@contextmanager
def serving(command: str, folder: Path, **environ: str) -> Iterator[Path]:
    """Run a command of the page with two workers; end it as a service manager does."""
    program, *words = shlex.split(command.replace("--workers 4", f"--workers {FEW}"))
    where = folder / "http"
    bind = ["--bind", f"unix:{where}"] if program == "gunicorn" else ["--uds", str(where)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CACHE_", "REDIS_"))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", program, *words, *bind],
            cwd=folder, env=clean | environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(where.exists, PATIENCE)
        yield where
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert "Traceback" not in (folder / "log").read_text()


def loads(where: Path) -> set[int]:
    """Ask until both workers have answered; return the workers that loaded."""
    workers: set[int] = set()
    loaders: set[int] = set()

    def both_answered() -> bool:
        try:
            said = get(where, "/price/7")
        except ConnectionRefusedError:  # bound, but no worker listens yet
            return False
        workers.add(said["worker"])
        loaders.add(said["loaded_by"])
        return len(workers) == int(FEW)

    wait_until(both_answered, PATIENCE)
    return loaders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, code in apps().items():
        (tmp_path / name).write_text(code)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_workers_of_each_command_share_one_load(
    command: str, folder: Path, shared_servers: GetServer, prefix: str
) -> None:
    server = shared_servers("valkey", "tcp").url
    environ = {"REDIS_URL": server, "CACHE_PREFIX": prefix, "CACHE_OPERATION_TIMEOUT": "5s"}
    with serving(command, folder, **environ) as where:
        assert len(loads(where)) == 1


def test_twin_without_a_server_each_worker_loads(folder: Path) -> None:
    with serving("gunicorn app:app --workers 4", folder) as where:
        assert len(loads(where)) == int(FEW)


def test_the_page_has_both_programs_and_both_apps() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"gunicorn", "uvicorn"}
    assert set(apps()) == {"main.py", "app.py"}
