"""At any end of the demo nothing of it stays: no process, no folder, and the terminal is as before."""

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until

START = 40  # seconds, on a busy machine
CHILDREN = 4  # a server, the origin, two instances, without their watchers
# Like a job in a terminal's foreground: a background job ignores Ctrl-C, and these tests may be one.
CODE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import typer
from examples.demo.command import demo
import sys
sys.argv[1:] = ["--instances", "2"]
typer.run(demo)
"""
COMMAND = [sys.executable, "-c", CODE]
LOOKED_AT = "cold start"  # in the header of the live screen
OTHER_SCREEN, BACK = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """One end of a pseudo terminal, read by a thread, so that a writer never waits."""

    def __init__(self, columns: int, lines: int) -> None:
        self._ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (lines, columns))
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        return self._shown.decode(errors="replace")

    def close(self) -> None:
        os.close(self.theirs)
        self._reader.join()
        os.close(self._ours)

    def _read(self) -> None:
        with suppress(OSError):  # Linux raises this when the other end is closed
            while data := os.read(self._ours, 65_536):
                self._shown += data


@contextmanager
def running(folder: Path, out: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a demo with its output in a file descriptor and its files in a folder."""
    environment = os.environ | {"TMPDIR": str(folder), "TERM": "xterm-256color"}
    for size in ("COLUMNS", "LINES"):  # the terminal has its own size; readline sets these on import
        environment.pop(size, None)
    demo = subprocess.Popen(  # noqa: S603 - ours
        COMMAND, stdin=out, stdout=out, stderr=out, env=environment, start_new_session=True
    )
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()


def end(demo: subprocess.Popen[bytes], number: signal.Signals, folder: Path) -> int:
    """End a demo by a signal, check that nothing is left, and return its exit status."""
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= CHILDREN
    demo.send_signal(number)
    status = demo.wait(10)
    wait_until(lambda: not [child for child in children if runs(child)])
    wait_until(lambda: not list(folder.glob("fleetcache-demo-*")))
    return status


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def test_ctrl_c_gives_the_terminal_back_and_leaves_nothing(tmp_path: Path) -> None:
    terminal = Terminal(100, 30)
    with running(tmp_path, terminal.theirs) as demo:
        wait_until(lambda: "healthy" in terminal.shown or demo.poll() is not None, START)
        assert LOOKED_AT in terminal.shown
        assert end(demo, signal.SIGINT, tmp_path) == 130
    terminal.close()
    assert terminal.shown.index(OTHER_SCREEN) < terminal.shown.index(BACK)
    assert terminal.shown.rstrip().endswith("stopped; nothing was left behind")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=["SIGTERM", "SIGKILL"]
)
def test_nothing_is_left_of_a_demo_that_is_killed(number: signal.Signals, status: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("w") as file, running(tmp_path, file.fileno()) as demo:
        wait_until(lambda: "instance b:" in out.read_text() or demo.poll() is not None, START)
        assert end(demo, number, tmp_path) == status
    assert OTHER_SCREEN not in out.read_text()


def test_a_terminal_that_is_too_small_gets_lines(tmp_path: Path) -> None:
    terminal = Terminal(79, 30)
    with running(tmp_path, terminal.theirs) as demo:
        wait_until(lambda: "starting a server" in terminal.shown or demo.poll() is not None, START)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(10) == 143
    terminal.close()
    assert OTHER_SCREEN not in terminal.shown
