"""The supervisor by itself: the time at which it ends the server, and the files that it leaves."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fleetcache.shared.embedded.locks import FileLock
from fleetcache.shared.embedded.supervisor import Stop, supervise
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
    user, gone = held(folder), 0.0

    def leave() -> None:
        nonlocal gone
        wait_until(children)
        gone = time.monotonic()
        user.close()

    thread = threading.Thread(target=leave)
    thread.start()
    run(folder, SLEEP, linger=0.3)
    thread.join()
    assert time.monotonic() - gone >= 0.3
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
