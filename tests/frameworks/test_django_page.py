"""The examples of docs/django.md run as they stand, with a server and without."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.conftest import Environment, environment

__all__ = ["environment"]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["memory", "shared"])
def test_the_examples_of_the_page_run(kind: str, environment: Environment) -> None:
    environment(kind)
    command = [sys.executable, "-W", "error", "-m", "tests.frameworks.django_page"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)  # noqa: S603 - ours
    assert ended.returncode == 0, ended.stderr
