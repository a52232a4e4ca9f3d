"""The download size of ``make demo`` for a newcomer. Not part of ``make test``: it asks the package index."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_BYTES = 20e6  # bytes


@pytest.mark.timeout(300)
def test_the_demo_downloads_little(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--requirement", str(ROOT / "requirements-demo.txt"), "--dest", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)  # noqa: S603 - ours
    downloaded = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(downloaded) >= 20
    assert sum(path.stat().st_size for path in downloaded) < MAX_BYTES
