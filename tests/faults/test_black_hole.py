"""Bytes of an aborted connection that land later, by the kernel's own retransmissions. See ``blackhole``.

Only collected where root may make network namespaces; the report says when it is not.
"""

import signal
import subprocess
import sys
import tempfile

import pytest

from tests.support.engines import engines

# When the kernel sends anew depends on how the connection did before: on a busy machine it may do so while the replay
# still runs, which removes it. That it may come later is what the twin shows; so it has more than one try.
AGAIN = 2

pytestmark = pytest.mark.root

Stories = dict[tuple[str, bool], str]


@pytest.fixture(scope="module")
def endings() -> Stories:
    """What a cache answered in the end, by engine and whether it resets connections; all told at the same time."""
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
            process.send_signal(signal.SIGINT)  # so that it ends what it started
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
