"""Threads that wait for replies: one of them reads for all, then hands the reading on."""

import time
from typing import Any

from fleetcache.engine.threads.monitor import ThreadFuture
from fleetcache.engine.threads.pool import RefreshPool
from fleetcache.engine.threads.runtime import ThreadRuntime
from fleetcache.policy.ports import NO_ANSWER
from fleetcache.wire.link_state import LinkState
from fleetcache.wire.session import Call
from tests.support.thread_scene import LONG, Scene
from tests.support.waiting import wait_until


def test_who_has_its_reply_hands_the_reading_on(scene: Scene) -> None:
    first = scene.ask("a")
    wait_until(scene.is_read)
    second = scene.ask("b")
    wait_until(lambda: len(scene.wire.socket._followers) == 1)
    scene.peer.sendall(b"$1\r\nA\r\n")
    first.join(LONG)
    scene.peer.sendall(b"$1\r\nB\r\n")
    second.join(LONG / 4)
    assert not second.is_alive(), "nobody reads the second reply"
    assert scene.handled == [b"A", b"B"]


def test_one_thread_reads_for_all(scene: Scene) -> None:
    threads = [scene.ask(key) for key in "abc"]
    wait_until(lambda: len(scene.wire.socket._followers) == 2)
    scene.peer.sendall(b"$1\r\nA\r\n$1\r\nB\r\n$1\r\nC\r\n")
    for thread in threads:
        thread.join(LONG / 4)
    assert scene.handled == [b"A", b"B", b"C"]


def test_who_has_waited_long_enough_judges_the_connection() -> None:
    """The link thread's turn may come late: the next caller would then wait as long for the same server."""
    timeout = 0.05
    scene = Scene(timeout)
    ports = ThreadRuntime(time.monotonic, lambda: 0.5, scene.monitor, RefreshPool([]), timeout)
    ports.timer, ports.waiting = scene.wire, scene.wire.socket

    async def ask() -> Any:
        future = ThreadFuture()
        scene.wire.submit(Call((("GET", "a"),), scene.handled.extend, future))
        return await ports.wait(future, None)

    try:
        assert scene.monitor.run(ask()) is NO_ANSWER
        assert scene.link.state is LinkState.SUSPECT
    finally:
        scene.close()


def test_a_thread_that_is_late_itself_reads_its_reply(scene: Scene) -> None:
    """It had no processor until its time was up, which is no fault of the server."""
    future = ThreadFuture()
    with scene.monitor.locked():
        scene.wire.submit(Call((("GET", "a"),), lambda replies: replies[0], future))
    assert scene.peer.recv(1000)
    scene.peer.sendall(b"$1\r\nA\r\n")
    wait_until(scene.wire.socket.has_bytes)
    with scene.monitor.locked():
        assert scene.wire.socket.wait(future, 0.0)
    assert future.result() == b"A"
