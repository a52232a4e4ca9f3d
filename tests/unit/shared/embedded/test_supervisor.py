"""The supervisor by itself: the time at which it ends the server, and the files that it leaves."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from fleetcache.shared.embedded.locks import FileLock
from fleetcache.shared.embedded.supervisor import KEY_BYTES, POLL, READER_BYTES, Memory, Stop, supervise
from fleetcache.wire import tracking_table
from tests.conftest import StartServer
from tests.support.client import Client
from tests.support.servers import Server
from tests.support.waiting import wait_until

SLEEP = ["/bin/sleep", "60"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)  # the supervisor goes into its folder; this brings the test back
    path = tmp_path / "folder"
    path.mkdir(0o700)
    before = children()  # servers that other tests share
    yield path
    assert children() <= before, "it left a process"


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def held(path: Path) -> FileLock:
    lock = FileLock(os.open(path, os.O_RDONLY))
    assert lock.try_shared()
    return lock


def run(path: Path, command: list[str], *, linger: float = 0, stop: Stop | None = None) -> None:
    folder = os.open(path, os.O_RDONLY)
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        supervise(str(path), folder, lock, linger, command, stop or Stop())
    finally:
        os.close(lock)
        os.close(folder)


def test_with_nobody_there_it_ends_and_leaves_nothing(folder: Path) -> None:
    for name in ("s", "log"):
        (folder / name).touch()
    run(folder, SLEEP)
    assert not folder.exists()


def test_it_waits_until_the_last_has_gone_and_lingers(folder: Path) -> None:
    user, gone, before = held(folder), 0.0, children()
    served = False

    def leave() -> None:
        nonlocal gone, served
        wait_until(lambda: children() - before)
        time.sleep(12 * POLL)  # twice what it lingers
        served = bool(children() - before)
        gone = time.monotonic()
        user.close()

    thread = threading.Thread(target=leave)
    thread.start()
    run(folder, SLEEP, linger=6 * POLL)
    thread.join()
    assert served
    # It counts from its last look at the folder: one pause before at most, and some more on a busy machine.
    assert time.monotonic() - gone >= POLL
    assert not folder.exists()


def test_told_to_stop_it_ends_what_is_in_use_and_leaves_the_folder_to_the_next(folder: Path) -> None:
    stop = Stop()
    stop.tell(signal.SIGTERM, None)
    with held(folder):
        run(folder, SLEEP, linger=60, stop=stop)
    assert folder.exists()


def test_a_server_that_ends_by_itself_leaves_its_log_to_those_who_wait(folder: Path) -> None:
    (folder / "log").write_text("why")
    with held(folder):
        run(folder, ["/bin/sh", "-c", "exit 3"], linger=60)
    assert (folder / "log").read_text() == "why"


def test_what_it_does_not_know_stays(folder: Path) -> None:
    (folder / "notes").write_text("mine")
    run(folder, SLEEP)
    assert [path.name for path in folder.iterdir()] == ["notes"]


def test_another_folder_at_its_path_stays(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    folder.rename(folder.parent / "moved")
    folder.mkdir()
    supervise(str(folder), opened, lock, 0, SLEEP, Stop())
    os.close(lock)
    os.close(opened)
    assert folder.exists()


def test_it_does_without_a_shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = os.posix_spawn

    def no_shell(path: str, *arguments: object, **options: object) -> int:
        if path == "/bin/sh":
            raise FileNotFoundError(path)
        return spawn(path, *arguments, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(os, "posix_spawn", no_shell)
    run(folder, SLEEP)
    assert not folder.exists()


# -- the bound of the server's memory ----------------------------------------------------------------------------------

DATA = 4_000_000


def bound(client: Client) -> int:
    found = client("CONFIG", "GET", "maxmemory")
    return int(found[b"maxmemory"] if isinstance(found, dict) else found[1])


@contextmanager
def readers(server: Server, count: int, keys: int) -> Iterator[None]:
    """Let clients read the same keys, as many processes do."""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(server.client())
            client.pipeline(("HELLO", 3), ("CLIENT", "TRACKING", "ON"))
            client.pipeline(*(("GET", f"key {number}") for number in range(keys)))
        yield


@pytest.fixture
def memory(fresh_server: StartServer) -> Iterator[tuple[Server, Memory, Client]]:
    server = fresh_server("tcp", "--maxmemory", str(DATA), "--maxmemory-policy", "allkeys-lru")
    fitting = Memory(str(server.folder / "s"), DATA)
    with server.client() as client:
        yield server, fitting, client
    fitting.close()


def test_the_bound_grows_with_the_tracking_table_and_shrinks_with_it(memory: tuple[Server, Memory, Client]) -> None:
    server, fitting, client = memory
    fitting.fit()
    assert bound(client) == DATA, "nothing is tracked, and nothing to be set"
    before = 0
    for count in (1, 4, 8):
        with readers(server, count, keys=2000):
            fitting.fit()
            assert bound(client) > before
            assert bound(client) - DATA >= 2000 * (KEY_BYTES + count * READER_BYTES) * 0.9
            before = bound(client)
    client("FLUSHALL")
    fitting.fit()
    assert bound(client) == DATA


def test_the_bound_is_at_most_twice_what_data_may_take(memory: tuple[Server, Memory, Client]) -> None:
    server, fitting, client = memory
    with readers(server, 8, keys=20_000):
        fitting.fit()
        assert bound(client) == 2 * DATA


def test_a_server_that_does_not_answer_is_asked_again_the_next_time(memory: tuple[Server, Memory, Client]) -> None:
    server, fitting, client = memory
    Memory(str(server.folder / "none"), DATA).fit()  # not up yet
    with readers(server, 1, keys=2000):
        server.freeze()
        began = time.monotonic()
        fitting.fit()
        assert time.monotonic() - began < 10
        server.thaw()
        fitting.fit()
        assert bound(client) > DATA


def test_the_supervisor_counts_the_table_as_the_cache_does() -> None:
    """It imports nothing of the package, so it has its own copy of the numbers."""
    assert (KEY_BYTES, READER_BYTES) == (tracking_table.KEY_BYTES, tracking_table.READER_BYTES)
