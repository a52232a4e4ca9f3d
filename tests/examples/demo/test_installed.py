"""The demo as it is installed: the wheel has the command and the example's app, and says what is missing."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = "from fleetcache.cli import main; main()"


Done = subprocess.CompletedProcess[str]


def python(code: str, *arguments: str, path: Path | None = None, cwd: Path | None = None) -> Done:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=cwd, timeout=30)  # noqa: S603 - ours


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installation has it."""
    built, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)  # noqa: S603 - ours
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


def test_the_command_is_declared(installed: Path) -> None:
    (declared,) = installed.glob("*.dist-info/entry_points.txt")
    assert "fleetcache = fleetcache.cli:main" in declared.read_text()


def test_the_app_is_in_the_wheel_and_found_there(installed: Path, tmp_path: Path) -> None:
    code = "from fleetcache.cli.demo.scene import app_folder; print(app_folder())"
    found = Path(python(code, path=installed).stdout.strip())
    assert found == installed / "fleetcache" / "cli" / "demo" / "examples"
    assert {path.name for path in (found / "geo").glob("*.py")} == {
        path.name for path in (ROOT / "examples" / "geo").glob("*.py")
    }
    assert python("import geo.app", path=found, cwd=tmp_path).returncode == 0  # it makes its database where it is run


def test_in_a_checkout_the_app_is_among_the_examples() -> None:
    code = "from fleetcache.cli.demo.scene import app_folder; print(app_folder())"
    assert Path(python(code).stdout.strip()) == ROOT / "examples"


def test_the_version_is_that_of_the_package() -> None:
    assert python("from fleetcache.cli import main; main(['--version'])").stdout.startswith("fleetcache 0.")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    ended = python(f"import sys; sys.modules[{missing!r}] = None; {RUN}", "demo")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"fleetcache needs {missing} for this: pip install 'fleetcache[cli]'\n"
