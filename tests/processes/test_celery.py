"""Celery's prefork pool for real: its parent has used the cache before it forks, and children come and go."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery  # type: ignore[import-untyped] # it has no types

from tests.support.servers import Server
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
WORKER = ["worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO"]
# A worker waits for other workers; here are none.
ALONE = ["--without-gossip", "--without-mingle", "--without-heartbeat"]


class Worker:
    """A worker with two children; ``run`` gives it tasks."""

    def __init__(self, app: Celery, pid: int, server: Server, folder: Path) -> None:
        self.app, self.pid, self._server, self._folder = app, pid, server, folder

    def run(self, *tasks: tuple[str, str]) -> list[Any]:
        """Send tasks, each a name with its argument, and return their results."""
        sent = [self.app.send_task(name, [argument]) for name, argument in tasks]
        # A worker that finds a message before it is written whole would lose it.
        for message in (self._folder / "sent").iterdir():
            message.rename(self._folder / "queue" / message.name)
        return [one.get(timeout=20, interval=0.02) for one in sent]

    def look(self, times: int) -> dict[int, dict[str, Any]]:
        """Run this many tasks at once, and return the last report of each child on itself and its cache."""
        said = {one["pid"]: one for one in self.run(*[("look", "k")] * times)}
        for one in said.values():
            assert one["found"]["times"] == 1, "one load in all processes"
            assert one["a copy of the parent's"] is False
            assert (one["link threads"], one["epoch"]) == (1, 1)
        return said

    def links(self) -> int:
        """Return the number of connections."""
        with self._server.client() as client:
            return int(client("CLIENT", "LIST").count(b"name=fleetcache-"))


@contextmanager
def celery(server: Server, prefix: str, folder: Path, *arguments: str) -> Iterator[Worker]:
    """Run a worker on a broker of files; end it as an operator does, and assert that its log has no errors."""
    for name in ("sent", "queue", "control", "results"):
        (folder / name).mkdir()
    broker = {"data_folder_in": f"{folder}/queue", "data_folder_out": f"{folder}/queue"}
    config = {
        "broker_url": "filesystem://",
        "broker_transport_options": broker | {"control_folder": f"{folder}/control", "polling_interval": 0.02},
        "result_backend": f"file://{folder}/results",
    }
    command = [sys.executable, "-m", "celery", "--app", "tests.processes.tasks", *WORKER, *ALONE, *arguments]
    environ = {"REDIS_URL": server.url, "CACHE_PREFIX": prefix, "CELERY_CONFIG": json.dumps(config)}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=output, stderr=output)  # noqa: S603 - ours
    try:
        outbox = broker | {"data_folder_out": f"{folder}/sent", "control_folder": f"{folder}/control"}
        app = Celery("sender", set_as_current=False, config_source=config | {"broker_transport_options": outbox})
        worker = Worker(app, process.pid, server, folder)
        yield worker
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)  # without a cache it takes six seconds, too
        finally:
            process.kill()
    said = log.read_text()
    assert process.returncode == 0, said
    for complaint in ("Traceback", "Exception", "ERROR", "CRITICAL"):
        assert complaint not in said
    wait_until(lambda: worker.links() == 0, 20)


def test_children_have_a_cache_of_their_own_each_and_share_what_one_loaded(
    server: Server, prefix: str, tmp_path: Path
) -> None:
    with celery(server, prefix, tmp_path) as worker:
        said: dict[int, dict[str, Any]] = {}

        def both(condition: Callable[[dict[str, Any]], bool]) -> bool:
            said.update(worker.look(4))
            return len(said) == 2 and all(map(condition, said.values()))

        wait_until(lambda: both(lambda one: one["near hits"] > 4), 20)
        assert worker.pid not in said
        assert all(one["warm"] == f"by {worker.pid}" for one in said.values())
        assert worker.links() == 3  # the parent's, and one for each child
        assert worker.run(("forget", "warm"))[0] in said
        wait_until(lambda: both(lambda one: one["warm"] is None), 20)


def test_children_that_are_replaced_leave_nothing_behind(server: Server, prefix: str, tmp_path: Path) -> None:
    with celery(server, prefix, tmp_path, "--max-tasks-per-child", "1") as worker:
        said = worker.look(5)
        assert len(said) == 5
        assert all(one["warm"] == f"by {worker.pid}" for one in said.values())
        wait_until(lambda: worker.links() == 1, 20)  # the parent's: the two children that are left have not used theirs
