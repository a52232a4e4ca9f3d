"""Bytes of an aborted connection that land later, by the kernel's own retransmissions. See ``blackhole``.

The tests are collected only if root may make network namespaces; else the report says why they are missing.
"""

import signal
import subprocess
import sys
import tempfile

import pytest

from tests.support.engines import engines

# The time of the kernel's next retransmission depends on the connection's past. On a busy machine it may come during
# the replay, which then removes it. The twin must show a later one, so it has more than one try.
AGAIN = 2

pytestmark = pytest.mark.root

Stories = dict[tuple[str, bool], str]


@pytest.fixture(scope="module")
def endings() -> Stories:
    """The cache's last answer by engine and by reset or not; all stories run at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        told = _tell([(engine, resets) for engine in engines() for resets in (True, False)], folder)
        for _ in range(AGAIN):
            told |= _tell([which for which, found in told.items() if not which[1] and found == "gone"], folder)
        return told


def _tell(stories: list[tuple[str, bool]], folder: str) -> Stories:
    started = {(engine, resets): _begin(engines()[engine], resets, folder) for engine, resets in stories}
    try:
        return {which: _end(process) for which, process in started.items()}
    finally:
        for process in started.values():
            process.send_signal(signal.SIGINT)  # so that the script ends its own processes
            process.communicate()


def _begin(binary: str, resets: bool, folder: str) -> "subprocess.Popen[str]":
    script = (sys.executable, "-m", "tests.faults.blackhole", binary, "1" if resets else "0", folder)
    return subprocess.Popen(  # noqa: S603 - ours
        ("unshare", "--net", *script),  # noqa: S607 - root's own
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: "subprocess.Popen[str]") -> str:
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return said.strip()


@pytest.mark.parametrize("engine", engines())
def test_nothing_of_a_reset_connection_is_retransmitted(endings: Stories, engine: str) -> None:
    assert endings[engine, True] == "gone"


@pytest.mark.parametrize("engine", engines())
def test_twin_what_a_closed_connection_had_sent_lands_seconds_later(endings: Stories, engine: str) -> None:
    assert endings[engine, False] == "OLD"
