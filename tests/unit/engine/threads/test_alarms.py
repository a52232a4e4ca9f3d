"""Alarms without a link thread: one thread rings all of them, and it ends when none is left."""

import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fleetcache import SyncCache
from fleetcache.engine.threads import alarms as module
from fleetcache.engine.threads.alarms import Alarms
from fleetcache.engine.threads.monitor import Monitor, begin
from tests.support.forking import in_a_child
from tests.support.waiting import wait_until

LONG = 3600.0


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The alarm threads that ran during the test; all of them must have ended after it."""
    monkeypatch.setattr(module, "IDLE", 0.05)
    threads: list[threading.Thread] = []
    run = threading.Thread.run

    def counted(self: threading.Thread) -> None:
        if self.name == "fleetcache-alarm":
            threads.append(self)
        run(self)

    monkeypatch.setattr(threading.Thread, "run", counted)
    yield threads
    wait_until(lambda: not any(thread.is_alive() for thread in threads))


class Scene:
    """Alarms under a monitor of their own.

    Attributes:
        rung: Names of the alarms that rang, in their order.
    """

    def __init__(self) -> None:
        self.monitor, self.rung = Monitor(), list[str]()
        self.alarms = Alarms(self.monitor)

    def add(self, delay: float, name: str) -> Any:
        with self.monitor.locked():
            return self.alarms.add(delay, lambda: self.rung.append(name))

    def cancel(self, *alarms: Any) -> None:
        with self.monitor.locked():
            for alarm in alarms:
                alarm.cancel()


def test_a_burial_of_many_entries_begins_one_thread(begun: list[threading.Thread]) -> None:
    with SyncCache("memory://", near_max_items=100_000, near_max_bytes="1GB") as cache:
        near: Any = cache._engine.near
        cache.set_many({f"key:{number}": number for number in range(100_000)})
        cache.clear()
        assert len(near.items) > 50_000, "most of them are dead, and not yet buried"
        wait_until(lambda: not near.items, timeout=30)
        wait_until(lambda: not begun[-1].is_alive())
    assert len(begun) == 1


def test_alarms_ring_in_the_order_of_their_times_in_one_thread(begun: list[threading.Thread]) -> None:
    scene = Scene()
    last = scene.add(LONG, "last")
    wait_until(lambda: scene.alarms._wakes_at < math.inf)
    scene.add(0.4, "second")
    scene.add(0.2, "first")
    wait_until(lambda: len(scene.rung) == 2)
    assert scene.rung == ["first", "second"]
    assert len(begun) == 1
    scene.cancel(last)


def test_an_alarm_of_its_own_alarm_rings_in_the_same_thread(begun: list[threading.Thread]) -> None:
    scene = Scene()

    def again() -> None:
        scene.rung.append("again")
        if len(scene.rung) < 100:
            scene.alarms.add(0, again)

    with scene.monitor.locked():
        scene.alarms.add(0, again)
    wait_until(lambda: len(scene.rung) == 100)
    assert len(begun) == 1


def test_a_cancelled_alarm_does_not_ring_and_the_last_one_ends_the_thread(begun: list[threading.Thread]) -> None:
    scene = Scene()
    with scene.monitor.locked():  # no alarm rings meanwhile
        first = scene.alarms.add(0.01, lambda: scene.rung.append("first"))
        second = scene.alarms.add(LONG, lambda: scene.rung.append("second"))
        first.cancel()
    wait_until(lambda: bool(begun))
    time.sleep(0.03)
    assert begun[0].is_alive()
    assert begun[0].daemon
    scene.cancel(second, first, second)
    wait_until(lambda: not begun[0].is_alive())
    assert scene.rung == []


def test_an_alarm_that_is_cancelled_by_another_one_does_not_ring(begun: list[threading.Thread]) -> None:
    scene = Scene()
    with scene.monitor.locked():
        second = scene.alarms.add(0.001, lambda: scene.rung.append("cancelled"))
        scene.alarms.add(0, second.cancel)
        time.sleep(0.01)  # both are due when the thread looks
    wait_until(lambda: bool(begun) and not begun[0].is_alive())
    assert scene.rung == []


def test_the_thread_sleeps_until_an_alarm_is_due(
    begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def clock() -> float:
        looks.append(time.monotonic())
        return looks[-1]

    monkeypatch.setattr(module, "monotonic", clock)
    scene = Scene()
    scene.add(0.2, "rung")
    wait_until(lambda: bool(scene.rung))
    assert len(looks) < 10
    assert len(begun) == 1


def test_a_delay_longer_than_a_lock_can_wait_is_a_delay(begun: list[threading.Thread]) -> None:
    scene = Scene()
    forever = scene.add(threading.TIMEOUT_MAX * 2, "never")
    scene.add(0.01, "soon")
    wait_until(lambda: scene.rung == ["soon"])
    scene.cancel(forever)
    assert len(begun) == 1


@pytest.mark.usefixtures("begun")
def test_an_alarm_that_fails_is_told_and_the_next_one_rings(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    scene = Scene()
    with scene.monitor.locked():
        scene.alarms.add(0, fail)
    scene.add(0.01, "next")
    with caplog.at_level(logging.ERROR):
        wait_until(lambda: scene.rung == ["next"])
    assert "defect: an alarm failed (ZeroDivisionError)" in caplog.text


@pytest.mark.usefixtures("begun")
def test_an_alarm_whose_thread_did_not_begin_rings_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    def no_more_threads(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(module, "begin", no_more_threads)
        scene.add(0, "first")
    time.sleep(0.01)
    assert scene.rung == []
    scene.add(0, "second")
    wait_until(lambda: scene.rung == ["first", "second"])


def test_a_signal_that_comes_as_the_thread_begins_costs_no_alarm(
    begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()

    def begin_and_interrupt(thread: threading.Thread) -> None:
        begin(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "begin", begin_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            scene.add(0.02, "first")
    wait_until(lambda: bool(begun) and not begun[0].is_alive())
    scene.add(0.01, "second")
    wait_until(lambda: scene.rung in (["second", "first"], ["first", "second"]))
    assert len(begun) == 2


def test_loads_with_a_limit_share_a_thread_which_ends_after_the_last(
    begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE", 1.0)
    with SyncCache("memory://", load_limit="1h") as cache:
        for number in range(20):
            cache.get_or_set(f"key:{number}", str, ttl=60)
            time.sleep(0.005)
        assert len(begun) < 10  # one, and another for each second that this takes
        wait_until(lambda: not any(thread.is_alive() for thread in begun))


def test_a_closed_cache_leaves_no_thread(begun: list[threading.Thread]) -> None:
    with SyncCache("memory://", near_max_items=100_000) as cache:
        cache.set_many({f"key:{number}": number for number in range(20_000)})
        cache.clear()
    wait_until(lambda: bool(begun) and not any(thread.is_alive() for thread in begun))


def test_a_process_ends_in_the_middle_of_a_burial_and_says_nothing() -> None:
    code = (
        "from fleetcache import SyncCache\n"
        "cache = SyncCache('memory://', near_max_items=20_000, load_limit='1h')\n"
        "cache.set_many({f'key:{number}': number for number in range(20_000)})\n"
        "cache.get_or_set('loaded', str, ttl=60)\n"
        "cache.clear()\n"
        "print(bool(cache._engine.near.items))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=100)  # noqa: S603 - our own code
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_a_forked_child_has_a_thread_of_its_own(begun: list[threading.Thread]) -> None:
    with SyncCache("memory://") as cache:
        engine: Any = cache._engine
        rung: list[str] = []

        def set_alarm(delay: float, name: str) -> Any:
            with engine.monitor.locked():
                return engine.ports.call_later(delay, lambda: rung.append(name))

        def child() -> list[str]:
            set_alarm(0.01, "child")
            wait_until(lambda: bool(rung))
            return rung

        alarm = set_alarm(LONG, "parent")
        wait_until(lambda: bool(begun))
        assert in_a_child(child) == ["child"]
        with engine.monitor.locked():
            alarm.cancel()
