"""The installed ``fleetcache`` command: its name, and its message if an extra is missing."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetcache.cli.app import app

ROOT = Path(__file__).parents[2]
RUN = "from fleetcache.cli import main; main()"


Done = subprocess.CompletedProcess[str]


def python(code: str, *arguments: str, path: Path | None = None) -> Done:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=100)  # noqa: S603 - ours


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installation has it."""
    built, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)  # noqa: S603 - ours
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


def test_the_command_is_declared(installed: Path) -> None:
    (declared,) = installed.glob("*.dist-info/entry_points.txt")
    assert "fleetcache = fleetcache.cli:main" in declared.read_text()


def test_the_package_brings_no_example_and_no_demo(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {
        "fleetcache",
        "_fleetcache_pytest.py",
    }
    assert [
        path for path in installed.rglob("*") if {"demo", "geo", "examples"} & {*path.relative_to(installed).parts}
    ] == []


def test_the_version_is_that_of_the_package() -> None:
    assert python("from fleetcache.cli import main; main(['--version'])").stdout.startswith("fleetcache 0.")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    ended = python(f"import sys; sys.modules[{missing!r}] = None; {RUN}", "doctor")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"fleetcache needs {missing} for this: pip install 'fleetcache[cli]'\n"


@pytest.mark.parametrize("arguments", [[], ["--seconds", "20"], ["--json", "--instances", "5"]])
def test_the_command_says_where_the_demo_is(arguments: list[str]) -> None:
    said = CliRunner().invoke(app, ["demo", *arguments])
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == "the demo is in fleetcache's repository, not in the package: clone it and run `make demo`\n"


def test_the_help_does_not_offer_the_demo() -> None:
    assert "demo" not in CliRunner().invoke(app, ["--help"]).output
