"""dogpile's regions in several processes: one creation in the fleet, and another soon after a creator was killed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetcache import SyncCache
from fleetcache.contrib.dogpile import Mutex
from tests.conftest import GetServer
from tests.promises.fleet import Worker
from tests.support.forking import in_a_child
from tests.support.servers import Server
from tests.support.waiting import wait_until

LEASE = 1.0  # seconds; the lease of the variant "ours"


@pytest.fixture
def server(shared_servers: GetServer) -> Server:
    """One engine is enough for the behaviour of processes."""
    return shared_servers("valkey", "tcp")


@contextmanager
def fleet(variant: str, server: Server, prefix: str, folder: Path, count: int) -> Iterator[list[Worker]]:
    """Yield processes that share a server."""
    workers = [
        Worker(variant, server.url, prefix, str(folder), module="tests.frameworks.dogpile_worker") for _ in range(count)
    ]
    try:
        assert all(worker.receive(30) for worker in workers), "a worker did not start"
        yield workers
    finally:
        for worker in workers:
            worker.kill()


def creations(folder: Path, key: str) -> int:
    path = folder / key
    return path.stat().st_size if path.exists() else 0


def created(variant: str, server: Server, prefix: str, folder: Path, rounds: int, take: float = 0.05) -> int:
    """Count the creations of a new key that all threads of three processes ask for at once."""
    with fleet(variant, server, prefix, folder, 3) as workers:
        for number in range(rounds):
            for worker in workers:
                worker.send("ask", key=f"k{number}", take=take)
            for worker in workers:
                answer = worker.receive()
                assert answer is not None
                assert answer["values"] == [f"value of k{number}"]
        return sum(creations(folder, f"k{number}") for number in range(rounds))


def test_a_value_is_created_once_in_the_fleet(server: Server, prefix: str, tmp_path: Path) -> None:
    assert created("ours", server, prefix, tmp_path, rounds=8) == 8


def test_with_locks_of_the_process_each_process_creates(server: Server, prefix: str, tmp_path: Path) -> None:
    assert created("alone", server, prefix, tmp_path, rounds=3, take=0.3) > 3


def test_the_old_value_answers_while_another_process_creates(server: Server, prefix: str, tmp_path: Path) -> None:
    with fleet("ours", server, prefix, tmp_path, 2) as (creator, other):
        creator.send("ask", key="k")
        assert creator.receive()
        time.sleep(0.1)
        creator.send("ask", key="k", take=60, expires=0.1)
        wait_until(lambda: creations(tmp_path, "k") == 2)
        other.send("ask", key="k", expires=0.1)
        assert other.receive() is not None
        assert creations(tmp_path, "k") == 2


def waits_for_a_killed_creator(variant: str, server: Server, prefix: str, folder: Path, slack: float) -> bool:
    """Return True if the value is missing a lease of "ours" and ``slack`` seconds after its creator was killed."""
    with fleet(variant, server, prefix, folder, 3) as (creator, *others):
        creator.send("ask", key="k", take=60)
        wait_until(lambda: creations(folder, "k") == 1)
        for worker in others:
            worker.send("ask", key="k")
        creator.kill()
        until = time.monotonic() + LEASE + slack
        answers = [worker.receive(max(0.0, until - time.monotonic())) for worker in others]
        assert creations(folder, "k") <= 2
        return None in answers


def test_a_killed_creator_is_soon_replaced_by_one(server: Server, prefix: str, tmp_path: Path) -> None:
    assert not waits_for_a_killed_creator("ours", server, prefix, tmp_path, slack=5)
    assert creations(tmp_path, "k") == 2


def test_with_a_long_lease_it_is_waited_for(server: Server, prefix: str, tmp_path: Path) -> None:
    assert waits_for_a_killed_creator("for_long", server, prefix, tmp_path, slack=0.5)


def test_a_forked_child_does_not_have_its_parents_mutex(server: Server, prefix: str) -> None:
    with SyncCache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        mutex = Mutex(cache, "k", "10s")
        assert mutex.acquire()

        def child() -> list[bool]:
            said = [mutex.locked(), mutex.acquire(wait=False)]
            mutex.release()  # although this one does not hold it
            said += [mutex.locked(), mutex.acquire(wait=False)]
            cache.close()
            return said

        assert in_a_child(child) == [True, False, True, False]
        assert mutex.locked()
        mutex.release()
        assert not mutex.locked()

        def clean_child() -> list[bool]:
            said = [mutex.acquire(wait=False), mutex.locked()]
            mutex.release()
            said.append(mutex.locked())
            cache.close()
            return said

        assert in_a_child(clean_child) == [True, True, False]
