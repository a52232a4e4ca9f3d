"""The place of the folder; no folder is used that another user may have made."""

import os
import stat
from pathlib import Path

import pytest

from fleetcache.config.environment import MAX_EMBEDDED_DIR
from fleetcache.shared.embedded.attach import attach
from fleetcache.shared.embedded.errors import EmbeddedError
from fleetcache.shared.embedded.folder import Folder
from tests.embedded.home import Home, descriptors

ME = os.geteuid()


def test_it_is_in_the_runtime_folder_of_the_user(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": "/var/tmp"}  # noqa: S108 - a name, nothing is made there
    short = "XDG_RUNTIME_DIR" if len(str(tmp_path)) <= MAX_EMBEDDED_DIR else "TMPDIR"
    assert str(Folder.choose(None, environ=environ).path.parent) == environ[short]


@pytest.mark.parametrize(
    ("environ", "parent"),
    [
        ({}, "/tmp"),  # noqa: S108 - as above
        ({"TMPDIR": "/scratch"}, "/scratch"),
        ({"XDG_RUNTIME_DIR": "/does/not/exist"}, "/tmp"),  # noqa: S108 - as above
        ({"XDG_RUNTIME_DIR": "relative", "TMPDIR": "relative"}, "/tmp"),  # noqa: S108 - as above
        ({"TMPDIR": "/" + "x" * MAX_EMBEDDED_DIR}, "/tmp"),  # noqa: S108 - as above
        ({"XDG_RUNTIME_DIR": "/" + "x" * MAX_EMBEDDED_DIR, "TMPDIR": "/scratch"}, "/scratch"),
    ],
)
def test_it_is_among_the_temporary_files_else(environ: dict[str, str], parent: str) -> None:
    assert str(Folder.choose(None, environ=environ).path.parent) == parent


def test_a_runtime_folder_of_another_user_is_passed_over(home: Home) -> None:
    environ = {"XDG_RUNTIME_DIR": str(home.base), "TMPDIR": "/scratch"}  # as after su
    assert Folder.choose(None, environ=environ).path.parent == home.base
    assert str(Folder.choose(None, environ=environ, uid=ME + 1).path.parent) == "/scratch"


def test_what_was_asked_for_wins(home: Home) -> None:
    environ = {"XDG_RUNTIME_DIR": str(home.base)}
    assert str(Folder.choose("/run/shop", environ=environ).path.parent) == "/run/shop"


def test_each_user_has_another_one() -> None:
    assert Folder.choose("/tmp", uid=1).path != Folder.choose("/tmp", uid=2).path  # noqa: S108 - names


def test_a_socket_fits_into_the_longest_place_for_the_highest_user() -> None:
    folder = Folder.choose("/" + "x" * (MAX_EMBEDDED_DIR - 1), uid=2**32 - 1)
    assert len(bytes(folder.socket)) == 103  # macOS has 104 bytes with the final zero


def test_it_is_made_for_us_alone(home: Home) -> None:
    before = os.umask(0)
    try:
        opened = home.folder.open()
    finally:
        os.umask(before)
    assert home.folder.path.stat().st_mode & 0o777 == 0o700
    assert home.folder.is_still(opened)
    os.close(opened)
    os.close(home.folder.open())  # and it is opened again


def test_another_folder_at_its_path_is_seen(home: Home) -> None:
    opened = home.folder.open()
    home.folder.path.rmdir()
    assert not home.folder.is_still(opened)
    os.close(home.folder.open())
    assert not home.folder.is_still(opened)
    os.close(opened)


def a_link(folder: Folder) -> None:
    target = folder.path.parent / "target"
    target.mkdir(0o700)
    folder.path.symlink_to(target)


def a_link_to_nothing(folder: Folder) -> None:
    folder.path.symlink_to(folder.path.parent / "nothing")


def a_file(folder: Folder) -> None:
    folder.path.touch(0o600)


def open_to_the_group(folder: Folder) -> None:
    folder.path.mkdir(0o700)
    folder.path.chmod(0o750)


def open_to_all(folder: Folder) -> None:
    folder.path.mkdir(0o700)
    folder.path.chmod(0o707)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (a_link, "is a symbolic link"),
        (a_link_to_nothing, "is a symbolic link"),
        (a_file, "is not a folder"),
        (open_to_the_group, r"is open to other users \(mode 0750\)"),
        (open_to_all, r"is open to other users \(mode 0707\)"),
    ],
)
def test_what_is_not_safely_ours_is_refused_and_left_alone(home: Home, made: object, problem: str) -> None:
    assert callable(made)
    made(home.folder)
    before, mode = descriptors(), home.folder.path.lstat().st_mode
    with pytest.raises(EmbeddedError, match=problem) as caught:
        attach(home.folder, 16_000_000)
    assert caught.value.reason == "embedded_unsafe"
    assert str(home.folder.path) in str(caught.value)
    assert descriptors() == before
    assert home.folder.path.lstat().st_mode == mode
    assert [path for path in home.base.rglob("*") if path.parent != home.base] == []  # nothing came into it


def test_a_folder_of_another_user_is_refused(home: Home) -> None:
    home.folder.path.mkdir(0o700)
    other = Folder(home.folder.path, ME + 1)  # as if another user owned the folder
    with pytest.raises(EmbeddedError, match=f"belongs to user {ME}, not to {ME + 1}") as caught:
        other.open()
    assert caught.value.reason == "embedded_unsafe"
    os.close(home.folder.open())


@pytest.mark.root
@pytest.mark.skipif(ME != 0, reason="only root can give a folder away")
def test_root_does_not_take_a_folder_of_another_user(home: Home) -> None:
    home.folder.path.mkdir(0o700)
    os.chown(home.folder.path, 12345, -1)
    with pytest.raises(EmbeddedError, match="belongs to user 12345, not to 0"):
        home.folder.open()


def test_a_place_that_was_asked_for_is_made_for_us_alone(home: Home) -> None:
    base = home.base / "deep" / "er"
    folder = Folder.choose(str(base))
    os.close(folder.open())
    os.close(Folder.choose(str(base)).open())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (base.parent, base, folder.path)] == [0o700] * 3


def test_a_usual_place_that_is_not_there_is_not_made(home: Home) -> None:
    folder = Folder.choose(None, environ={"TMPDIR": str(home.base / "nothing")})
    with pytest.raises(EmbeddedError, match="cannot be used: No such file or directory"):
        folder.open()
    assert not (home.base / "nothing").exists()


@pytest.mark.parametrize("base", ["file", "file/below"])
def test_where_none_can_be_made_the_system_says_why(home: Home, base: str) -> None:
    (home.base / "file").touch()
    folder = Folder.choose(str(home.base / base))
    with pytest.raises(EmbeddedError, match=f"{folder.path} cannot be used: .*; CACHE_EMBEDDED_DIR") as caught:
        attach(folder, 16_000_000)
    assert caught.value.reason == "embedded_folder"
