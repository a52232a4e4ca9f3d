"""The monitor: threads take turns in the rules, and changes of a call from inside are applied after the rule."""

import threading
from typing import Any

import pytest

from fleetcache.engine.threads.monitor import AwaitOutside, Monitor, ThreadFuture, begin, finish
from tests.support.waiting import wait_until

LONG = 20.0


async def value_of(future: Any) -> Any:
    return future


async def outside(call: Any) -> Any:
    return await AwaitOutside(call)


class Noted:
    """A note that counts its runs, and fails if it was told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.times = error, 0

    def do(self) -> None:
        self.times += 1
        if self.error is not None:
            raise self.error


def test_threads_take_turns() -> None:
    monitor, entered = Monitor(), threading.Event()

    def other() -> None:
        with monitor.locked():
            entered.set()

    with monitor.locked():
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.05)
        with monitor.released():
            assert entered.wait(LONG)
    thread.join(LONG)


def test_a_rule_runs_to_its_end_and_what_it_awaits_outside_runs_without_the_monitor() -> None:
    monitor, free = Monitor(), []

    def other() -> None:
        with monitor.locked():
            free.append(threading.get_ident())

    def call() -> str:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(LONG)
        return "result"

    assert monitor.run(outside(call)) == "result"
    assert len(free) == 1, "another thread could not enter while the call ran"


def test_an_error_from_outside_reaches_the_rule() -> None:
    def fails() -> None:
        raise LookupError("x")

    async def rule() -> str:
        try:
            await AwaitOutside(fails)
        except LookupError as error:
            return f"caught {error}"
        return "nothing"

    assert Monitor().run(rule()) == "caught x"


def test_an_error_of_a_rule_reaches_the_caller_and_leaves_the_monitor_free() -> None:
    async def rule() -> None:
        raise LookupError("x")

    monitor, torn = Monitor(), []
    monitor.on_interrupted = lambda: torn.append(1)
    with pytest.raises(LookupError):
        monitor.run(rule())
    assert (monitor.run(value_of(3)), torn) == (3, [])


def test_a_signal_amid_a_rule_is_told() -> None:
    async def rule() -> None:
        raise KeyboardInterrupt

    monitor, torn = Monitor(), []
    monitor.on_interrupted = lambda: torn.append(1)
    with pytest.raises(KeyboardInterrupt):
        monitor.run(rule())
    assert torn == [1]


def test_a_note_is_done_when_the_rule_is_left_and_once() -> None:
    monitor, note = Monitor(), Noted()
    with monitor.locked():
        monitor.note(note)
        assert note.times == 0
    assert note.times == 1
    with monitor.locked():
        pass
    assert note.times == 1


def test_a_note_that_fails_is_told_and_holds_no_other_up(caplog: pytest.LogCaptureFixture) -> None:
    monitor, bad, good = Monitor(), Noted(LookupError("x")), Noted()
    with monitor.locked():
        monitor.note(bad)
        monitor.note(good)
    assert (bad.times, good.times, len(caplog.records)) == (1, 1, 1)


def test_a_future_wakes_the_thread_that_waits_for_it() -> None:
    monitor, future, woke = Monitor(), ThreadFuture(), []

    def waits() -> None:
        with monitor.locked():
            woke.append(monitor.wait(future, LONG))

    thread = threading.Thread(target=waits)
    thread.start()
    wait_until(lambda: future._waker is not None)
    with monitor.locked():
        future.set_result("reply")
    thread.join(LONG / 2)
    assert (woke, future.result()) == ([True], "reply")


def test_a_wait_ends_in_time() -> None:
    monitor = Monitor()
    with monitor.locked():
        assert not monitor.wait(ThreadFuture(), 0.01)


def test_a_rule_that_suspends_on_a_thread_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="every port must block"):
        finish(outside(None))


def test_a_thread_is_started_without_a_wait() -> None:
    ran = threading.Event()
    begin(threading.Thread(target=ran.set))
    assert ran.wait(LONG)
