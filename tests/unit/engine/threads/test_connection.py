"""The thread shell by itself: a wire between threads and a socket of the test's, without its link thread."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fleetcache.config.url import Address
from fleetcache.engine.threads.connection import ThreadConnection
from fleetcache.engine.threads.monitor import Monitor, ThreadFuture
from fleetcache.engine.threads.pool import RefreshPool
from fleetcache.engine.threads.runtime import ThreadRuntime
from fleetcache.policy.ports import NO_ANSWER
from fleetcache.wire.connection import WireHooks, WireLimits
from fleetcache.wire.link import Link, LinkState
from fleetcache.wire.session import Call
from tests.support.waiting import wait_until

# Longer than anything here takes on a busy machine; what is broken waits for it.
LONG = 20.0


class Scene:
    """A wire that is online on one end of a connection; the test has the other."""

    def __init__(self, operation_timeout: float = LONG) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.ours = socket.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        self.ours.setblocking(False)
        self.peer.settimeout(LONG)
        self.monitor = Monitor()
        self.link = Link(
            0.0, operation_timeout=operation_timeout, max_staleness=LONG, offline_ttl=LONG, on_state=lambda *_: None
        )
        self.wire = ThreadConnection(
            Address(),
            None,
            self.link,
            WireLimits(operation_timeout, LONG, LONG, 1_000_000),
            WireHooks(
                on_push=_nothing,
                on_own_push=_nothing,
                on_timeout=_nothing,
                recover=_nothing,
                on_defect=_nothing,
                heartbeat=_nothing,
            ),
            clock=time.monotonic,
            random=lambda: 0.5,
            name="test",
            probe=b"probe",
            monitor=self.monitor,
        )
        self.monitor.on_release = self.wire.flush
        self.wire._sock, self.wire._poll = self.ours, self.wire._new_poll(self.ours)
        self.link.opened(time.monotonic())
        self.link.ready(time.monotonic(), time.monotonic())
        self.handled: list[Any] = []

    def ask(self, key: str, patience: float = LONG) -> threading.Thread:
        """A thread sends a call and waits for its reply; when this returns it is sent."""

        def main() -> None:
            with self.monitor.locked():
                future = ThreadFuture()
                self.wire.submit(Call((("GET", key),), self.handled.extend, future))
                self.wire.wait(future, patience)

        thread = threading.Thread(target=main, daemon=True)
        thread.start()
        assert self.peer.recv(1000) == b"*2\r\n$3\r\nGET\r\n$1\r\n%b\r\n" % key.encode()
        return thread

    def is_read(self) -> bool:
        """Whether a thread reads, or is about to."""
        return self.wire._reading.taken

    def close(self) -> None:
        """End both ends."""
        self.peer.close()
        self.wire.abandon(reset=False)


def _nothing(*_args: Any) -> Any:
    """What a cache would be told."""


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def test_who_has_its_reply_hands_the_reading_on(scene: Scene) -> None:
    first = scene.ask("a")
    wait_until(scene.is_read)
    second = scene.ask("b")
    wait_until(lambda: len(scene.wire._followers) == 1)
    scene.peer.sendall(b"$1\r\nA\r\n")
    first.join(LONG)
    scene.peer.sendall(b"$1\r\nB\r\n")
    second.join(LONG / 4)
    assert not second.is_alive(), "nobody reads the second reply"
    assert scene.handled == [b"A", b"B"]


def test_one_thread_reads_for_all(scene: Scene) -> None:
    threads = [scene.ask(key) for key in "abc"]
    wait_until(lambda: len(scene.wire._followers) == 2)
    scene.peer.sendall(b"$1\r\nA\r\n$1\r\nB\r\n$1\r\nC\r\n")
    for thread in threads:
        thread.join(LONG / 4)
    assert scene.handled == [b"A", b"B", b"C"]


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
        scene.wire._over = "timeout"
    scene.peer.sendall(b"$1\r\nA\r\n")
    link.join(LONG)
    assert scene.handled == []


def test_who_has_waited_long_enough_judges_the_connection() -> None:
    """And not the link thread, whose turn may come late: the next caller would wait as long for the same server."""
    timeout = 0.05
    scene = Scene(timeout)
    ports = ThreadRuntime(time.monotonic, lambda: 0.5, scene.monitor, RefreshPool([]), timeout)
    ports.timer = scene.wire

    async def ask() -> Any:
        future = ThreadFuture()
        scene.wire.submit(Call((("GET", "a"),), scene.handled.extend, future))
        return await ports.wait(future, None)

    try:
        assert scene.monitor.run(ask()) is NO_ANSWER
        assert scene.link.state is LinkState.SUSPECT
    finally:
        scene.close()


def test_a_connection_that_is_given_up_is_reset(scene: Scene) -> None:
    with scene.monitor.locked():
        scene.wire._abort()
    with pytest.raises(ConnectionResetError):
        scene.peer.recv(1)


def test_an_alarm_wakes_the_link_thread_in_time(scene: Scene) -> None:
    """A lease is renewed when it is due, however long the link thread meant to sleep."""
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
