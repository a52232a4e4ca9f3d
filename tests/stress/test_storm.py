"""Signal handlers and finalizers use the cache while its thread is inside a call: nothing hangs or breaks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GetServer

SECONDS = 2.0
HERE = Path(__file__).parents[2]


def storm(kind: str, face: str, url: str, prefix: str) -> dict[str, Any]:
    """Return the storm's results; a hang is an error, with the traceback of every thread."""
    arguments = [kind, face, url, prefix, str(SECONDS)]
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "tests.stress.storm", *arguments],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("kind", ["signals", "finalizers"])
@pytest.mark.parametrize("where", ["memory", "tcp", "tls"])
def test_threads_amid_any_verb_are_interrupted_and_go_on(
    kind: str, where: str, prefix: str, shared_servers: GetServer
) -> None:
    url = "memory://" if where == "memory" else shared_servers("valkey", where).url  # type: ignore[arg-type]
    said = storm(kind, "threads", url, prefix)
    assert said["wrong"] == []
    assert said["timeouts"] == 0, "somebody waited for what the interrupted thread was to do"
    assert said["inside"] > 0, "it met nobody amid a rule"


@pytest.mark.parametrize("kind", ["signals", "finalizers"])
@pytest.mark.parametrize("face", ["loop here", "loop elsewhere"])
def test_so_are_event_loops_and_the_threads_beside_them(
    kind: str, face: str, prefix: str, shared_servers: GetServer
) -> None:
    said = storm(kind, face, shared_servers("valkey", "tcp").url, prefix)
    assert said["wrong"] == []
    assert said.get("timeouts", 0) == 0
    assert said["uses"] > 20


@pytest.mark.parametrize("kind", ["signals", "finalizers"])
@pytest.mark.parametrize("where", ["memory", "tcp"])
@pytest.mark.parametrize("face", ["tasks of threads", "opening"])
def test_so_are_tasks_on_a_cache_of_threads_and_opening_and_closing(
    kind: str, where: str, face: str, prefix: str, shared_servers: GetServer
) -> None:
    url = "memory://" if where == "memory" else shared_servers("valkey", "tcp").url
    said = storm(kind, face, url, prefix)
    assert said["wrong"] == []
    assert said.get("timeouts", 0) == 0
    assert said["uses"] > 20
    assert said["rounds"] > 0
