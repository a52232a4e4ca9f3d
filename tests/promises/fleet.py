"""Real processes, each with a cache of its own, steered by lines of JSON and never outliving the test."""

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
    """One process; see ``worker``. ``module`` may be another that is spoken to in the same way."""

    def __init__(self, *arguments: str, module: str = "tests.promises.worker") -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours

    def send(self, do: str, **command: Any) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do} | command).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, timeout: float = 10) -> Any:
        """The next answer; ``None`` if there is none in time. Answers are short, so a line comes whole."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                return None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Fleet:
    """Several processes that share one server.

    Args:
        variant: A function of ``variants``.
        url: Of the server.
        prefix: CACHE_PREFIX.
        count: How many processes.
    """

    def __init__(self, variant: Variant, url: str, prefix: str, count: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fc-fleet-"))
        self.workers = [Worker(variant.__name__, url, prefix, str(self.folder)) for _ in range(count)]

    def loads(self, key: str) -> int:
        """How often the key was loaded so far, by whomever."""
        path = self.folder / key
        return path.stat().st_size if path.exists() else 0

    def all(self, do: str, **command: Any) -> list[Any]:
        """Have all do the same at once; their answers."""
        for worker in self.workers:
            worker.send(do, **command)
        answers = []
        for worker in self.workers:  # one after the other: with the first that does not answer it is over
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
