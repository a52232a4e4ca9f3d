"""gunicorn for real, with each kind of worker, the app imported before the fork."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.gunicorn import get, gunicorn
from tests.support.servers import Server
from tests.support.waiting import wait_until

# The worker's arguments, and its app.
KINDS = {
    "prefork": (["--preload", "--worker-class", "sync"], "app"),
    "threads": (["--preload", "--worker-class", "gthread", "--threads", "4"], "app"),
    "gevent": (["--worker-class", "gevent"], "app"),  # it patches in the worker, so that nothing may be imported before
    "uvicorn": (["--preload", "--worker-class", "uvicorn.workers.UvicornWorker"], "asgi"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_workers_share_what_one_of_them_loaded(server: Server, prefix: str, tmp_path: Path, kind: str) -> None:
    arguments, name = KINDS[kind]
    environ = {"REDIS_URL": server.url, "CACHE_PREFIX": prefix, "WARM": "yes" if name == "app" else ""}
    with gunicorn(f"tests.processes.site:{name}", arguments, environ, tmp_path) as where:
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
