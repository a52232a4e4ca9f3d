"""A loop ends during a task of the cache, without a close: asyncio reports nothing about the task."""

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.engine.aio.runtime import without_farewell


def left_behind(treat: Callable[["asyncio.Task[Any]"], object]) -> None:
    """End a loop in the middle of a task."""
    loop = asyncio.new_event_loop()

    async def waits() -> None:
        await asyncio.sleep(60)

    task = loop.create_task(waits())
    treat(task)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del task
    gc.collect()


@pytest.mark.parametrize(("treat", "reports"), [(without_farewell, 0), (lambda _task: None, 1)], ids=["ours", "twin"])
def test_nothing_is_reported_of_a_task_that_nobody_waits_for(
    treat: Callable[["asyncio.Task[Any]"], object], reports: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "asyncio"):
        left_behind(treat)
    assert len([record for record in caplog.records if "destroyed" in record.message]) == reports
