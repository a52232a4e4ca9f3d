"""The thread engine by itself: a wire between threads and a socket of the test, without its link thread."""

import threading
import time

import pytest

from fleetcache.wire.session import Call
from tests.support.thread_scene import LONG, Scene
from tests.support.waiting import wait_until


def test_what_is_read_of_a_connection_that_was_given_up_is_not_parsed(scene: Scene) -> None:
    reader = scene.ask("a", patience=1.0)
    wait_until(scene.is_read)
    with scene.monitor.locked():  # the reader sleeps in the system, without the monitor
        scene.wire.fail("timeout", "no answer")
    scene.peer.sendall(b"$1\r\nA\r\n")
    reader.join(LONG)
    assert scene.handled == []


def test_nor_by_the_link_thread(scene: Scene) -> None:
    def main() -> None:
        with scene.monitor.locked():
            scene.wire.submit(Call((("GET", "a"),), scene.handled.extend))
            scene.wire._turn(time.monotonic() + LONG)

    link = threading.Thread(target=main, daemon=True)
    link.start()
    assert scene.peer.recv(1000)
    wait_until(lambda: scene.wire._sleeps_until > 0)
    with scene.monitor.locked():
        scene.wire.over = "timeout"
    scene.peer.sendall(b"$1\r\nA\r\n")
    link.join(LONG)
    assert scene.handled == []


def test_a_connection_that_is_given_up_is_reset(scene: Scene) -> None:
    with scene.monitor.locked():
        scene.wire._abort()
    with pytest.raises(ConnectionResetError):
        scene.peer.recv(1)


def test_an_alarm_wakes_the_link_thread_in_time(scene: Scene) -> None:
    """A lease is renewed in time, even if the link thread meant to sleep longer."""
    rang = threading.Event()

    def main() -> None:
        with scene.monitor.locked():
            while not rang.is_set():
                scene.wire._turn(time.monotonic() + LONG)

    link = threading.Thread(target=main, daemon=True)
    link.start()
    wait_until(lambda: scene.wire._sleeps_until > 0)
    with scene.monitor.locked():
        scene.wire.alarm(0.01, rang.set)
    assert rang.wait(LONG / 4)
    link.join(LONG)


def _link_thread(scene: Scene, turns: list[float]) -> threading.Thread:
    """Start a link thread that notes each of its turns, until the connection is over."""

    def main() -> None:
        with scene.monitor.locked():
            while scene.wire.over is None:
                scene.wire._turn(time.monotonic() + LONG)
                turns.append(time.monotonic())

    link = threading.Thread(target=main, daemon=True)
    link.start()
    return link


def _over(scene: Scene, link: threading.Thread) -> None:
    with scene.monitor.locked():
        scene.wire.fail("closed", "the test is over")
    link.join(LONG)


def test_the_link_thread_sleeps_while_a_caller_reads_for_long(scene: Scene) -> None:
    turns: list[float] = []
    caller = scene.ask("a")
    wait_until(scene.is_read)
    link = _link_thread(scene, turns)
    time.sleep(0.3)  # the time in which it would wake up 300 times
    before = len(turns)
    scene.peer.sendall(b"$1\r\nA\r\n")
    caller.join(LONG)
    _over(scene, link)
    assert scene.handled == [b"A"]
    assert before < 30


def test_the_link_thread_reads_after_a_caller_that_read_for_long(scene: Scene) -> None:
    turns: list[float] = []
    caller = scene.ask("a", patience=0.3)
    wait_until(scene.is_read)
    link = _link_thread(scene, turns)
    caller.join(LONG)
    scene.peer.sendall(b"$1\r\nA\r\n")
    wait_until(lambda: scene.handled == [b"A"])
    _over(scene, link)
