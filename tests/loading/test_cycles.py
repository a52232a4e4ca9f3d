"""A loader that waits for itself is an error; a task that it starts and does not wait for is none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

import anyio
import pytest

from fleetcache import Cache, LoadCycle, SyncCache
from tests.support.run import run
from tests.support.servers import Server
from tests.support.tasked import tasked
from tests.support.waiting import eventually

Task = asyncio.Task[Any]
BUSY = 5.0  # seconds; a wait that ends by itself ends long before, also on a busy machine


@asynccontextmanager
async def of_tasks() -> AsyncIterator[Any]:
    async with Cache("memory://") as cache:
        yield cache


@asynccontextmanager
async def of_threads() -> AsyncIterator[Any]:
    with SyncCache("memory://") as cache:
        yield cache.aio


both = pytest.mark.parametrize("opened", [of_tasks, of_threads])


async def by_awaiting(task: Task) -> Any:
    return await task


async def by_gather(task: Task) -> Any:
    return await asyncio.gather(asyncio.sleep(0), task)


async def by_wait(task: Task) -> Any:
    done, _ = await asyncio.wait({task})
    return done.pop().result()


async def by_wait_for(task: Task) -> Any:
    return await asyncio.wait_for(task, 60)


async def by_shield(task: Task) -> Any:
    return await asyncio.shield(task)


async def by_as_completed(task: Task) -> Any:
    return await next(iter(asyncio.as_completed([task])))


async def by_group(task: Task) -> Any:
    async with asyncio.TaskGroup() as group:
        inner = group.create_task(by_awaiting(task))
    return inner.result()


async def by_group_of_anyio(task: Task) -> Any:
    async with anyio.create_task_group() as group:
        group.start_soon(by_awaiting, task)
    return task.result()


async def by_a_task_between(task: Task) -> Any:
    return await asyncio.create_task(by_awaiting(task))


async def later(task: Task) -> Any:
    await asyncio.sleep(0.1)  # the task waits already
    return await task


WAYS: list[Callable[[Task], Coroutine[Any, Any, Any]]] = [
    by_awaiting, by_gather, by_wait, by_wait_for, by_shield, by_as_completed, by_group, by_group_of_anyio,
    by_a_task_between, later,
]  # fmt: skip


@both
@pytest.mark.parametrize("wait", WAYS)
def test_a_loader_that_waits_for_a_task_that_asks_for_its_key_is_a_cycle(opened: Any, wait: Any) -> None:
    async def main() -> None:
        async with opened() as cache:

            async def load() -> str:
                task = asyncio.create_task(cache.get_or_set("own", load))
                await wait(task)
                return "never"

            with pytest.raises((LoadCycle, ExceptionGroup)) as caught:
                await asyncio.wait_for(cache.get_or_set("own", load), BUSY)
            error: BaseException = caught.value
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            assert "'own' asks for its own key" in str(error)
            assert cache.stats().flights == 0

    run(main())


@both
def test_a_task_that_a_loader_does_not_wait_for_gets_the_value(opened: Any) -> None:
    async def main() -> None:
        kept: set[Task] = set()  # asyncio's documentation keeps background tasks this way
        asked: list[Task] = []

        async with opened() as cache:

            async def load() -> str:
                task = asyncio.create_task(cache.get_or_set("k", load))
                kept.add(task)
                task.add_done_callback(kept.discard)
                asked.append(task)
                await asyncio.sleep(0.2)  # by now it waits, and has checked for a cycle
                return "value"

            loading = asyncio.create_task(cache.get_or_set("k", load))
            kept.add(loading)
            assert await asyncio.wait_for(loading, BUSY) == "value"
            assert await asyncio.wait_for(asked[0], BUSY) == "value"
            assert cache.stats().loads == 1

    run(main())


@both
def test_what_such_a_task_waits_for_may_wait_for_the_loader(opened: Any) -> None:
    async def main() -> None:
        async with opened() as cache:
            strays: list[Task] = []

            async def load_a() -> str:
                strays.append(asyncio.create_task(cache.get_or_set("b", load_b)))
                await asyncio.sleep(0.2)
                return "a"

            async def load_b() -> str:
                return f"b of {await cache.get_or_set('a', load_a)}"

            assert await asyncio.wait_for(cache.get_or_set("a", load_a), BUSY) == "a"
            assert await asyncio.wait_for(strays[0], BUSY) == "b of a"
            assert cache.stats().loads == 2

    run(main())


@both
def test_it_is_a_cycle_as_soon_as_the_loader_waits_for_that_task_after_all(opened: Any) -> None:
    async def main() -> None:
        async with opened() as cache:

            async def load_a() -> str:
                stray = asyncio.create_task(cache.get_or_set("b", load_b))
                await asyncio.sleep(0.2)
                await stray
                return "never"

            async def load_b() -> str:
                return f"b of {await cache.get_or_set('a', load_a)}"

            with pytest.raises(LoadCycle, match="neither could ever end"):
                await asyncio.wait_for(cache.get_or_set("a", load_a), BUSY)

    run(main())


@both
def test_it_is_the_same_for_many_keys(opened: Any) -> None:
    async def main() -> None:
        async with opened() as cache:
            strays: list[Awaitable[Any]] = []

            async def load(keys: list[str]) -> dict[str, str]:
                strays.append(asyncio.create_task(cache.get_or_set_many(["b", "c"], load_c)))
                await asyncio.sleep(0.2)
                return dict.fromkeys(keys, "loaded")

            async def load_c(keys: list[str]) -> dict[str, str]:
                return dict.fromkeys(keys, "later")

            async def load_and_wait(keys: list[str]) -> dict[str, str]:
                await asyncio.create_task(cache.get_or_set_many([*keys, "d"], load_c))
                return {}

            found = await asyncio.wait_for(cache.get_or_set_many(["a", "b"], load), BUSY)
            assert found == {"a": "loaded", "b": "loaded"}
            assert await asyncio.wait_for(strays[0], BUSY) == {"b": "loaded", "c": "later"}
            with pytest.raises(LoadCycle):
                await asyncio.wait_for(cache.get_or_set_many(["x", "y"], load_and_wait), BUSY)

    run(main())


FACES: dict[str, Callable[..., Any]] = {"tasks": Cache, "tasks of threads": tasked}


@pytest.mark.parametrize("verb", ["get_or_set", "get_or_set_many"])
@pytest.mark.parametrize("face", FACES)
def test_a_loader_that_asks_for_its_key_after_a_removal_is_a_cycle(
    server: Server, prefix: str, face: str, verb: str
) -> None:
    """A removal of tags leaves the loader's lease, for which its own call would wait."""

    async def main() -> None:
        async with FACES[face](server.url, prefix=prefix, load_wait="60s", operation_timeout="5s") as cache:

            async def load_many(keys: list[str]) -> Any:
                await cache.invalidate_tags("tag")
                return await cache.get_or_set_many(keys, load_many, tags=["tag"])

            async def load() -> Any:
                await cache.invalidate_tags("tag")
                return await cache.get_or_set("k", load, tags=["tag"])

            calls: dict[str, Callable[[], Awaitable[Any]]] = {
                "get_or_set": lambda: cache.get_or_set("k", load, tags=["tag"]),
                "get_or_set_many": lambda: cache.get_or_set_many(["k", "l"], load_many, tags=["tag"]),
            }
            with pytest.raises(LoadCycle, match="asks for its own key"):
                await asyncio.wait_for(calls[verb](), BUSY)

    run(main())


def test_so_is_one_that_joins_who_waits_for_its_lease(server: Server, prefix: str) -> None:
    async def main() -> None:
        async with Cache(server.url, prefix=prefix, load_wait="60s", operation_timeout="5s") as cache:
            others: list[Task] = []

            async def load_other() -> str:
                return "other"

            async def load() -> str:
                await cache.invalidate_tags("tag")
                others.append(asyncio.create_task(cache.get_or_set("k", load_other, tags=["tag"]), context=Context()))
                await eventually(lambda: cache.stats().waits == 1)
                with pytest.raises(LoadCycle, match="asks for its own key"):
                    await cache.get_or_set("k", load_other, tags=["tag"])
                return "loaded"

            assert await asyncio.wait_for(cache.get_or_set("k", load, tags=["tag"]), BUSY) == "loaded"
            assert await asyncio.wait_for(others[0], BUSY) == "other"

    run(main())


def test_a_batch_of_a_task_that_its_loader_awaits_later_is_a_cycle(one_server: Server, prefix: str) -> None:
    """The batch waits for the lease of a load that it may not join, which cannot end before the batch does."""

    async def main() -> None:
        async with Cache(one_server.url, prefix=prefix, load_wait="1h", operation_timeout="5s") as cache:

            async def many(keys: list[str]) -> dict[str, str]:
                return dict.fromkeys(keys, "x")

            async def load() -> str:
                await cache.invalidate_tags("t")  # nobody joins this load any more, and it keeps its lease
                task = asyncio.create_task(cache.get_or_set_many(["k"], many))
                await asyncio.sleep(0.1)
                return str(await task)

            with pytest.raises(LoadCycle):
                async with asyncio.timeout(20):
                    await cache.get_or_set("k", load, tags=["t"])

    run(main())
