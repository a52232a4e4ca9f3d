"""Real threads in real processes, with random faults on the way: promises 1, 2 and 5, and twins that break them."""

import asyncio
import shutil
import tempfile
import threading
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest

from tests.conftest import StartServer
from tests.promises.fleet import Worker
from tests.stress.chaos import Chaos
from tests.stress.crowd import PROCESSES, SIZE
from tests.support.proxy import Proxy
from tests.support.servers import Server

CALLERS = 20  # threads of each process


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return a server of one engine: to threads and tasks, the replies of all engines are the same."""
    return one_server


class Crowds:
    """Four processes of threads; ``timeout`` is that of one operation, in seconds."""

    def __init__(self, variant: str, url: str, prefix: str, timeout: float = 0.25) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fc-crowd-"))
        (self.folder / "truth").write_bytes(bytes(SIZE))
        arguments = [variant, url, prefix, str(self.folder)]
        self._workers = [
            Worker(*arguments, str(n), str(timeout), module="tests.stress.crowd") for n in range(PROCESSES)
        ]

    def all(self, do: str, **command: Any) -> list[Any]:
        """Let all processes do the same at once, and return their answers."""
        for worker in self._workers:
            worker.send(do, **command)
        answers = [worker.receive(30) for worker in self._workers]
        assert all(answers), f"a process did not answer: {do} {command}"
        return answers

    def loads(self, key: str) -> int:
        """Return how often any process loaded the key."""
        path = self.folder / key
        return path.stat().st_size if path.exists() else 0

    def __enter__(self) -> Self:
        assert all(worker.receive(20) for worker in self._workers), "a worker did not start"
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def excess_loads(variant: str, server: Server, prefix: str, rounds: int, take: float = 0.15) -> int:
    """Count the loads beyond one per round, of new keys."""
    with Crowds(variant, server.url, prefix, timeout=5.0) as crowds:
        for number in range(rounds):
            answers = crowds.all("ask", key=f"cold{number}", callers=CALLERS, take=take)
            assert [answer["values"] for answer in answers] == [[f"value of cold{number}"]] * PROCESSES
        return sum(crowds.loads(f"cold{number}") for number in range(rounds)) - rounds


def test_eighty_threads_in_four_processes_cause_one_load(server: Server, prefix: str) -> None:
    assert excess_loads("ours", server, prefix, rounds=3) == 0


def test_twin_without_a_lease_every_process_loads(server: Server, prefix: str) -> None:
    assert excess_loads("no_lease", server, prefix, rounds=1, take=1.0) > 0


def superseded(variant: str, server: Server, prefix: str, seed: int, seconds: float, *, faults: bool) -> dict[str, Any]:
    """Count superseded answers: to the remover at once, to any process after all has settled."""
    with Proxy(server) as proxy, Crowds(variant, proxy.url, prefix) as crowds:
        stop, chaos = threading.Event(), Chaos(server, proxy, Random(seed))

        async def trouble() -> None:
            told = asyncio.Event()
            running = asyncio.ensure_future(chaos.run(told))
            await asyncio.to_thread(stop.wait)
            told.set()
            await running

        thread = threading.Thread(target=lambda: asyncio.run(trouble()))
        if faults:
            thread.start()
        try:
            answers = crowds.all("unrest", threads=CALLERS // 2, seconds=seconds, seed=seed)
        finally:
            stop.set()
            if faults:
                thread.join()
        settled = crowds.all("settle")
        quiet = crowds.all("look")
    return {
        "errors": [error for answer in answers for error in answer["errors"]],
        "looks": sum(answer["looks"] for answer in answers),
        "at once": sum(answer["wrong"] for answer in answers),
        "when quiet": sum(answer["wrong"] for answer in quiet),
        "settled": all(answer["settled"] for answer in settled),
        "faults": chaos.done,
    }


def test_what_was_removed_is_gone_whatever_happens(one_fresh_server: StartServer, prefix: str) -> None:
    found = superseded("ours", one_fresh_server("tcp", "--enable-debug-command", "yes"), prefix, 1, 4, faults=True)
    wrong = {name: found[name] for name in ("errors", "at once", "when quiet")}
    assert wrong == {"errors": [], "at once": 0, "when quiet": 0}, found
    assert found["settled"]
    assert found["looks"] > 20


def test_twin_without_a_journal_it_comes_back(one_fresh_server: StartServer, prefix: str) -> None:
    server = one_fresh_server("tcp", "--enable-debug-command", "yes")
    for seed in range(6):
        if superseded("no_journal", server, f"{prefix}-{seed}", seed, 2, faults=True)["when quiet"]:
            return
    pytest.fail("nothing came back: the check sees nothing")


def test_twin_who_joins_any_flight_sees_again_what_he_removed(server: Server, prefix: str) -> None:
    for seed in range(6):
        if superseded("joins_any_flight", server, f"{prefix}-{seed}", seed, 1.5, faults=False)["at once"]:
            return
    pytest.fail("nobody saw it again: the check sees nothing")
