"""The runtime of threads: loaders run in the calling thread, waits end in time, and deep stacks raise in advance."""

import asyncio
import concurrent.futures
import sys
import time
from typing import Any

import pytest

from fleetcache.engine.threads.monitor import Monitor, ThreadFuture
from fleetcache.engine.threads.pool import RefreshPool
from fleetcache.engine.threads.runtime import ROOM, ThreadRuntime, call_alone, call_plain, has_room
from fleetcache.futures import NO_ANSWER
from fleetcache.policy.ports import LoaderEndedError


def runtime(monitor: Monitor, patience: float = 10.0) -> ThreadRuntime:
    return ThreadRuntime(time.monotonic, lambda: 0.5, monitor, RefreshPool([]), patience)


def cancelled() -> None:
    raise concurrent.futures.CancelledError


async def async_loader() -> int:
    return 1


def test_a_loader_gets_its_arguments_and_its_own_error_comes_out() -> None:
    assert call_plain(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        call_plain(divmod, 1, 0)


def test_a_loader_that_a_thread_cannot_await_is_named() -> None:
    with pytest.raises(TypeError, match=r"async_loader returned a coroutine.*use a `def`"):
        call_plain(async_loader)


def test_a_future_that_was_cancelled_is_no_answer_for_others() -> None:
    with pytest.raises(LoaderEndedError):
        call_plain(cancelled)
    with pytest.raises(concurrent.futures.CancelledError):
        call_alone(cancelled)


def test_a_wait_ends_at_its_time_or_after_an_operation() -> None:
    monitor = Monitor()
    ports = runtime(monitor, patience=0.02)
    for until in (None, time.monotonic() + 0.01, time.monotonic() - 1):
        future = ThreadFuture()
        assert monitor.run(ports.wait(future, until)) is NO_ANSWER
        assert future.done(), "a reply that comes later is nobody's"


def test_a_reply_that_is_there_is_taken_though_the_time_is_over() -> None:
    monitor, future = Monitor(), ThreadFuture()
    future.set_result("reply")
    assert monitor.run(runtime(monitor).wait(future, time.monotonic() - 1)) == "reply"


def test_a_loader_runs_in_the_calling_thread_without_the_monitor() -> None:
    monitor = Monitor()
    ports = runtime(monitor)
    assert not monitor.run(ports.run_loader(monitor._lock._is_owned))


def test_a_flight_of_a_thread_ends_where_it_began() -> None:
    monitor, over = Monitor(), []

    async def work() -> None:
        raise LookupError

    class Flight:
        task: Any = None

    ports = runtime(monitor)
    with pytest.raises(LookupError):
        monitor.run(ports.spawn(Flight(), work, lambda _error=None: over.append(1)))
    assert over == [1]


def test_after_close_nothing_begins_in_the_background() -> None:
    monitor = Monitor()
    ports = runtime(monitor)
    monitor.run(ports.close(0.1))

    async def work() -> None:
        raise AssertionError("it was begun")

    class Flight:
        task: Any = None

    with monitor.locked():
        assert not ports.spawn_background(Flight(), work, lambda _error=None: None)


def test_a_stack_without_room_is_told_before_a_rule_begins() -> None:
    assert has_room()

    def descend() -> int:
        return 0 if not has_room() else 1 + descend()

    depth = descend()
    assert depth > 0
    assert depth + ROOM <= sys.getrecursionlimit()


def test_only_a_task_is_somebody() -> None:
    monitor = Monitor()
    ports = runtime(monitor)
    assert ports.me() is None

    async def main() -> None:
        task = asyncio.current_task()
        monitor.suspends = True
        assert ports.me() is task

    asyncio.run(main())
