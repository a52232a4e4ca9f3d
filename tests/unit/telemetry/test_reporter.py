"""Stats and health are snapshots: no caller changes another caller's."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import hiredis
import msgspec
import pytest

import fleetcache
from fleetcache import Cache

_SAY = """
import sys
sys.path.append(sys.argv[1])
from fleetcache import Cache
print(Cache('memory://').status_now().fleetcache)
"""


@pytest.mark.parametrize(("report", "field"), [("stats", "near_hits"), ("status_now", "status")])
def test_a_report_cannot_be_changed(report: str, field: str) -> None:
    taken: Any = getattr(Cache("memory://"), report)()
    with pytest.raises(AttributeError):
        setattr(taken, field, 1)


@pytest.mark.parametrize(("installed", "version"), [(True, metadata.version("fleetcache")), (False, "unknown")])
def test_a_package_copied_without_its_metadata_reports_too(tmp_path: Path, installed: bool, version: str) -> None:
    for package in (fleetcache, hiredis, msgspec):
        folder = Path(str(package.__file__)).parent
        (tmp_path / folder.name).symlink_to(folder)
    command = [sys.executable, *([] if installed else ["-S"]), "-c", _SAY, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert said.stdout.strip() == version
