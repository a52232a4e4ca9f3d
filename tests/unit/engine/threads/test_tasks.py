"""Tasks among threads: a rule runs in a task without blocking its loop, and any thread may wake or cancel the task."""

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from fleetcache.engine.threads.monitor import AwaitOutside, Monitor, ThreadFuture
from fleetcache.engine.threads.tasks import ThreadSafeTask, follow, heard
from tests.support.run import run

LONG = 20.0


async def waits_for(future: ThreadFuture, seconds: float) -> Any:
    await heard(future, seconds)
    return future.result()


def test_a_task_follows_a_rule_to_its_result() -> None:
    async def rule() -> list[int]:
        return [await AwaitOutside(partial(asyncio.sleep, 0, number)) for number in (1, 2)]

    assert run(follow(Monitor(), rule())) == [1, 2]


def test_an_error_outside_reaches_the_rule_and_an_error_of_the_rule_the_task() -> None:
    async def fails() -> None:
        raise LookupError("x")

    async def rule() -> None:
        try:
            await AwaitOutside(fails)
        except LookupError as error:
            raise ValueError(f"seen {error}") from None

    with pytest.raises(ValueError, match="seen x"):
        run(follow(Monitor(), rule()))


def test_a_thread_wakes_a_task_and_its_loop_goes_on_meanwhile() -> None:
    async def main() -> None:
        monitor, future, turns = Monitor(), ThreadFuture(), 0
        task = asyncio.create_task(follow(monitor, waits_for(future, LONG)))
        while turns < 10:
            await asyncio.sleep(0)
            turns += 1
        assert not task.done()

        def opens() -> None:
            with monitor.locked():
                future.set_result("reply")

        await asyncio.to_thread(opens)
        assert await asyncio.wait_for(task, LONG / 2) == "reply"

    run(main())


def test_a_wait_of_a_task_ends_in_time() -> None:
    async def main() -> None:
        future = ThreadFuture()
        assert await follow(Monitor(), waits_for(future, 0.01)) is None
        assert not future.done()

    run(main())


def test_a_task_that_waits_can_be_cancelled_by_any_thread() -> None:
    async def main() -> None:
        task = asyncio.create_task(follow(Monitor(), waits_for(ThreadFuture(), LONG)))
        await asyncio.sleep(0)
        thread = threading.Thread(target=ThreadSafeTask(task, asyncio.get_running_loop()).cancel)
        thread.start()
        with pytest.raises(asyncio.CancelledError):
            await task
        thread.join(LONG)

    run(main())


def test_a_task_whose_loop_has_ended_is_left_alone() -> None:
    future: list[Any] = []

    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        future.append(ThreadSafeTask(task, asyncio.get_running_loop()))
        await task

    run(main())
    future[0].cancel()
