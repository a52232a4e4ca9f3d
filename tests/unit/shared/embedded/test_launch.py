"""The started server: without a port and without a disk, bounded in memory, without the process's secrets."""

import os
import shutil
import socket
import stat
import sys
from pathlib import Path

import pytest

from fleetcache.shared.embedded import launch
from fleetcache.shared.embedded.attach import attach
from fleetcache.shared.embedded.binary import find_server
from fleetcache.shared.embedded.errors import EmbeddedError
from fleetcache.shared.embedded.launch import interpreter
from tests.embedded.home import Home, ended
from tests.support.waiting import wait_until

MAX_BYTES = 16_000_000
SECRET = "hunter2"  # noqa: S105 - stands for a password in the environment
BINARIES = [find_server(), *(Path(path) for path in (shutil.which("redis-server"),) if path)]


@pytest.mark.parametrize("binary", BINARIES, ids=lambda path: path.name)
def test_it_is_bounded_and_private(home: Home, binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    monkeypatch.setattr(launch, "find_server", lambda: binary)
    with attach(home.folder, MAX_BYTES):
        assert home.server.net_connections("inet") == []
        for process in (home.server, home.supervisor):
            assert SECRET not in str(process.environ())
        assert stat.S_IMODE(home.folder.socket.stat().st_mode) == 0o700
        with home.raw() as raw:
            found = raw("CONFIG", "GET", "*")
            config = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
            assert {name: config[name] for name in (b"maxmemory", b"maxmemory-policy", b"save", b"appendonly")} == {
                b"maxmemory": str(MAX_BYTES).encode(),
                b"maxmemory-policy": b"allkeys-lru",
                b"save": b"",
                b"appendonly": b"no",
            }
            for number in range(100):  # more than fits: the server takes each, and evicts others
                raw("SET", f"k{number}", b"x" * 500_000)
            assert raw("EXISTS", "k99") == 1
            assert 10 < raw("DBSIZE") < 40


def leftovers(home: Home) -> None:
    """Leave the files of a host that lost its power."""
    home.folder.path.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(home.folder.socket))
        sock.listen()
    for name in ("lock", "log"):
        (home.folder.path / name).write_text("old")


def test_what_was_left_behind_is_no_obstacle(home: Home) -> None:
    leftovers(home)
    with attach(home.folder, MAX_BYTES), home.raw() as raw:
        assert raw("PING") in {"PONG", b"PONG"}
    wait_until(home.is_left)


def test_a_folder_that_was_removed_under_a_running_server_is_made_anew(home: Home) -> None:
    with attach(home.folder, MAX_BYTES):
        first = home.server
        shutil.rmtree(home.folder.path)
        with attach(home.folder, MAX_BYTES), home.raw() as raw:
            assert raw("PING") in {"PONG", b"PONG"}
            assert not ended(first)
    wait_until(home.is_left)
    wait_until(lambda: ended(first))


def test_the_log_cannot_be_led_elsewhere(home: Home, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    home.folder.path.mkdir(0o700)
    (home.folder.path / "log").symlink_to(victim)
    with pytest.raises(EmbeddedError, match="cannot be used"):
        attach(home.folder, MAX_BYTES)
    assert victim.read_text() == "mine"


def test_the_supervisor_runs_on_this_python() -> None:
    assert interpreter() == sys.executable


@pytest.mark.parametrize("executable", ["/usr/bin/uwsgi", "", None])
def test_where_the_program_is_no_python_one_is_found(executable: str | None) -> None:
    assert os.access(interpreter(executable), os.X_OK)
    assert interpreter(executable).rpartition("/")[2].startswith("python3")


def test_a_frozen_application_is_not_started_as_a_supervisor() -> None:
    assert interpreter("/opt/shop/python-shop", frozen=True) != "/opt/shop/python-shop"


def test_without_any_python_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EmbeddedError, match=r"'uwsgi' is not a Python.*python3 on PATH") as caught:
        interpreter("uwsgi")
    assert caught.value.reason == "embedded_start"
