"""Real processes, each with its own cache, steered by lines of JSON; they end with the test."""

import json
import selectors
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.promises.variants import Variant

__all__ = ["Fleet", "Worker"]

_ROOT = Path(__file__).parents[2]


class Worker:
    """One process; see ``worker``. ``module`` may name another module with the same commands."""

    def __init__(self, *arguments: str, module: str = "tests.promises.worker") -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours

    def send(self, do: str, **command: Any) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do} | command).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, timeout: float = 10) -> Any:
        """Return the next answer; ``None`` if none comes in time. Answers are short, so that a line comes whole."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                return None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill the process by SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Fleet:
    """Several processes that share one server.

    Args:
        variant: A function of ``variants``.
        url: The URL of the server.
        prefix: CACHE_PREFIX.
        count: The number of processes.
    """

    def __init__(self, variant: Variant, url: str, prefix: str, count: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fc-fleet-"))
        self.workers = [Worker(variant.__name__, url, prefix, str(self.folder)) for _ in range(count)]

    def loads(self, key: str) -> int:
        """Return how often any process loaded the key."""
        path = self.folder / key
        return path.stat().st_size if path.exists() else 0

    def all(self, do: str, **command: Any) -> list[Any]:
        """Let all processes do the same at once, and return their answers."""
        for worker in self.workers:
            worker.send(do, **command)
        answers = []
        for worker in self.workers:  # one after the other: the first missing answer ends it
            answers.append(worker.receive())
            assert answers[-1] is not None, f"process {worker.process.pid} did not answer: {do} {command}"
        return answers

    def __enter__(self) -> Self:
        try:
            assert all(worker.receive() for worker in self.workers), "a worker did not start"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
