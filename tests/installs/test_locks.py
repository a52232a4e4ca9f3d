"""Each lock can be installed by the lines of the Makefile, with the pips that machines really have.

Not part of ``make test``: it asks the package index. ``make installs`` and CI run it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Python 3.11.0 and 3.11.1 bring 22.3.1, Debian 12 brings 23.0.1, Python 3.11.7 and 3.12.1 bring 23.2.1.
PIPS = ["22.3.1", "23.0.1", "23.2.1", "newest"]
STAMPS = {"requirements-demo.txt": ".demo-installed", "requirements-dev.txt": ".dev-installed"}
STAMPS["requirements-bench.txt"] = ".bench-installed"
PATIENCE = 300  # seconds: without pip's cache, the larger locks are downloads of 170 MB


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command lines
        command, check=False, capture_output=True, text=True, timeout=PATIENCE, cwd=cwd
    )


@pytest.fixture(scope="module", params=PIPS)
def venv(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with one version of pip and nothing else."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    pip = "pip" if request.param == "newest" else f"pip=={request.param}"
    assert run(sys.executable, "-m", "venv", str(folder)).returncode == 0
    got = run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", pip)
    assert got.returncode == 0, got.stderr
    return folder


def line_that_installs(lock: str, venv: Path) -> list[str]:
    """Return the Makefile's own command for a lock, as make would run it in another environment."""
    shown = run("make", "--dry-run", "--always-make", f"VENV={venv}", str(venv / STAMPS[lock])).stdout
    (line,) = [line for line in shown.splitlines() if f"--requirement {lock}" in line]
    return line.split()


def without_build(command: list[str]) -> list[str]:
    """Resolve and download as for an installation, but leave the environment unchanged for the next lock."""
    return [*command, "--dry-run"]


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("lock", sorted(STAMPS))
def test_the_makefile_installs_the_lock(lock: str, venv: Path) -> None:
    done = run(*without_build(line_that_installs(lock, venv)))
    assert done.returncode == 0, done.stderr[-2_000:]


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("venv", ["23.0.1"], indirect=True)
def test_resolving_a_lock_is_what_old_pips_fail_at(venv: Path) -> None:
    """The twin: without --no-deps the newest release of a dependency stops this pip, as on fresh machines."""
    resolving = [word for word in line_that_installs("requirements-dev.txt", venv) if word != "--no-deps"]
    done = run(*without_build(resolving))
    assert "In --require-hashes mode, all requirements must have their versions pinned" in done.stderr


@pytest.mark.timeout(PATIENCE)
def test_make_installs_what_the_demo_needs_into_a_fresh_environment(tmp_path: Path) -> None:
    fresh = tmp_path / "venv"
    done = run("make", "--no-print-directory", f"VENV={fresh}", str(fresh / ".demo-installed"))
    assert done.returncode == 0, done.stderr[-2_000:]
    said = done.stdout.splitlines()
    assert said[0].startswith(f"setting up {fresh} with Python 3.")
    assert said[1].startswith(f"installing requirements-demo.txt into {fresh}: ")
    assert run(str(fresh / "bin" / "python"), "-m", "examples.demo", "--help").returncode == 0
