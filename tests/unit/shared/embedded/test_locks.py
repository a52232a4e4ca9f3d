"""Locks end with their holder, and a forked child holds none of its parent's."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from fleetcache.shared.embedded.locks import FileLock


def opened(path: Path) -> FileLock:
    return FileLock(os.open(path, os.O_RDWR | os.O_CREAT))


def test_many_share_or_one_is_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with opened(path) as one, opened(path) as other, opened(path) as third:
        assert one.try_shared()
        assert other.try_shared()
        assert not third.try_exclusive()
        one.close()
        other.close()
        assert third.try_exclusive()
        with opened(path) as late:
            assert not late.try_shared()
            third.close()
            assert late.try_shared()


def test_closing_twice_closes_nobody_elses_file(tmp_path: Path) -> None:
    lock = opened(tmp_path / "lock")
    lock.close()
    with (tmp_path / "other").open("w") as other:  # gets the number of the freed descriptor
        lock.close()
        other.write("still open")


def test_a_lost_lock_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lost = opened(path)
    assert lost.try_exclusive()
    del lost
    with opened(path) as lock:
        assert lock.try_exclusive()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 on threads of earlier tests
def test_a_forked_child_does_not_hold_what_its_parent_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = opened(path)
    assert held.try_shared()
    ready, told = os.pipe()
    child = forked_and_told(told)
    try:
        os.read(ready, 1)
        held.close()
        with opened(path) as lock:
            assert lock.try_exclusive()
    finally:
        end(child)
        os.close(ready)
        os.close(told)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # as above
def test_a_plain_descriptor_is_held_by_the_child_too(tmp_path: Path) -> None:
    """The twin: without the work of ``FileLock`` at a fork, the lock outlives its holder."""
    path = tmp_path / "lock"
    plain = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(plain, fcntl.LOCK_SH)
    ready, told = os.pipe()
    child = forked_and_told(told)
    try:
        os.read(ready, 1)
        os.close(plain)
        with opened(path) as lock:
            assert not lock.try_exclusive()
    finally:
        end(child)
        os.close(ready)
        os.close(told)


def forked_and_told(told: int) -> int:
    """Fork a child that reports its start, and then waits until it is killed."""
    if child := os.fork():
        return child
    try:
        os.write(told, b".")
        signal.pause()
    finally:
        os._exit(0)


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
