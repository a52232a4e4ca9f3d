"""Every target for a moment, with inputs of Hypothesis; a failing target is found, reported and replayed.

``FLEETCACHE_FUZZ`` multiplies the inputs; ``make fuzz SECONDS=600`` runs for that time.
"""

import gc
import os
import random
import subprocess
import sys
import tracemalloc
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleetcache.wire import session
from tests.fuzz import bounds, fuzz_session, run

INPUTS = 30 * int(os.environ.get("FLEETCACHE_FUZZ", "1"))


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("target", run.TARGETS)
def test_nothing_but_the_declared_errors_and_all_within_bounds(target: str) -> None:
    module = run.load(target)

    @settings(max_examples=INPUTS, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(min_size=40, max_size=400))
    @example(b"")
    def hold(data: bytes) -> None:
        bounds.bounded(module.one_input, data)

    for seed in module.SEEDS:
        bounds.bounded(module.one_input, seed)
    hold()


def some_input_fails() -> bool:
    """Return True if the session's target finds a fault within inputs that are the same each time."""
    chance = random.Random(5)
    try:
        for _ in range(300):
            bounds.bounded(fuzz_session.one_input, chance.randbytes(200))
    except Exception:  # noqa: BLE001 - whatever it is that was found
        return True
    return False


def test_a_session_that_takes_false_for_no_more_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not some_input_fails()
    monkeypatch.setattr(session, "_MORE", False)
    assert some_input_fails()


def test_what_takes_too_long_or_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(bounds, "MOST_SECONDS", 0.002)
    bounds.bounded(lambda _data: None, b"")
    with pytest.raises(bounds.OverBoundsError, match="bytes for one input"):
        bounds.bounded(lambda _data: bytearray(2_000_000).clear(), b"")
    with pytest.raises(bounds.OverBoundsError, match="s for one input"):
        bounds.bounded(lambda _data: deque(range(500_000), maxlen=0).clear(), b"")


def test_it_runs_from_the_command_line_and_says_without_what(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", "lengths", "--engine", "random", "--seconds", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=run.HERE.parents[1])  # noqa: S603 - ourselves
    assert done.returncode == 0, done.stderr
    assert "at random" in done.stdout
    assert "nothing found in lengths" in done.stdout
    (tmp_path / "input").write_bytes(b"\0\1\2")
    command = [sys.executable, "-m", "tests.fuzz.run", "lengths", "--input", str(tmp_path / "input")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=run.HERE.parents[1])  # noqa: S603 - ourselves
    assert done.stdout == "nothing found\n", done.stderr
