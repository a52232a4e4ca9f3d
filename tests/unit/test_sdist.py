"""The sdist is the repository: an unpacked one has the Makefile's two commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the sdist that hatchling builds here."""
    built, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("unpacked")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)  # noqa: S603 - ours
    (archive,) = built.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder)], check=True)  # noqa: S603, S607 - the system's
    (top,) = folder.iterdir()
    return top


def test_whatever_the_makefile_names_is_there(unpacked: Path) -> None:
    named = set(re.findall(r"[\w./-]+\.(?:txt|toml|py)\b", (ROOT / "Makefile").read_text()))
    assert named >= {"requirements-demo.txt", "requirements-dev.txt", "requirements-bench.txt", "pyproject.toml"}
    assert [name for name in sorted(named) if not (unpacked / name).is_file()] == []


def test_all_that_is_in_the_repository_is_in_the_sdist(unpacked: Path) -> None:
    if not (ROOT / ".git").exists():
        assert (ROOT / "PKG-INFO").is_file()  # the tests run in an unpacked sdist
        return
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607 - whichever git made the checkout
    tracked = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert [name for name in tracked if not (unpacked / name).is_file()] == []


def test_its_makefile_knows_what_to_do_for_the_two_commands(unpacked: Path) -> None:
    for target in ("demo", "test"):
        shown = subprocess.run(["make", "--dry-run", target], cwd=unpacked, check=True, capture_output=True, text=True)  # noqa: S603, S607 - as above
        assert "--require-hashes" in shown.stdout
