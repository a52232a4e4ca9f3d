"""The waits between tasks: every way to write a wait is seen, and a task without a waiter is told apart."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetcache.policy.task_waits import is_awaited
from tests.support.run import run

Wait = Callable[["asyncio.Task[Any]"], Awaitable[Any]]


async def by_group(task: "asyncio.Task[Any]") -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(by_await(task))


async def by_await(task: "asyncio.Task[Any]") -> None:
    await task


async def by_as_completed(task: "asyncio.Task[Any]") -> None:
    for done in asyncio.as_completed([task]):
        await done


WAYS: dict[str, Wait] = {
    "await": by_await,
    "gather": lambda task: asyncio.gather(task, asyncio.sleep(0)),
    "wait": lambda task: asyncio.wait([task]),
    "wait_for": lambda task: asyncio.wait_for(task, 60),
    "shield": asyncio.shield,
    "as_completed": by_as_completed,
    "task group": by_group,
}


async def settled() -> None:
    """Give each task a turn until all of them wait."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_waits_is_seen(way: str) -> None:
    async def main() -> None:
        go = asyncio.Event()
        task = asyncio.create_task(go.wait())

        async def wait() -> None:
            await WAYS[way](task)

        waiting = asyncio.create_task(wait())
        await settled()
        assert is_awaited(task, waiting)
        assert not is_awaited(waiting, task)
        go.set()
        await waiting

    run(main())


def test_a_wait_through_other_tasks_is_seen() -> None:
    async def main() -> None:
        go = asyncio.Event()
        first = asyncio.create_task(go.wait())
        second = asyncio.create_task(by_await(first))
        third = asyncio.create_task(by_await(second))
        await settled()
        assert is_awaited(first, third)
        go.set()
        await third

    run(main())


def test_a_task_that_only_started_another_does_not_wait_for_it() -> None:
    async def main() -> None:
        go, kept = asyncio.Event(), set[asyncio.Task[Any]]()

        async def starts() -> None:
            task = asyncio.create_task(go.wait())
            kept.add(task)
            task.add_done_callback(kept.discard)
            await asyncio.Event().wait()

        starter = asyncio.create_task(starts())
        await settled()
        (started,) = kept
        assert not is_awaited(started, starter)
        go.set()
        await started
        starter.cancel()
        await asyncio.wait([starter])

    run(main())
