"""The runtime of asyncio: waits end in time, loaders must be awaitable, and a close ends the tasks of flights."""

import asyncio
import time
from typing import Any

import pytest

from fleetcache.engine.aio.runtime import AioRuntime, call_awaited
from fleetcache.futures import NO_ANSWER
from fleetcache.policy.ports import LoaderEndedError
from tests.support.run import run


class Flight:
    task: Any = None


def runtime() -> AioRuntime:
    ports = AioRuntime(time.monotonic, lambda: 0.5)
    ports.live_on(asyncio.get_running_loop())
    return ports


def test_a_wait_ends_at_its_time_and_a_reply_that_is_there_is_taken() -> None:
    async def main() -> None:
        ports = runtime()
        late: Any = ports.future()
        assert await ports.wait(late, time.monotonic() + 0.01) is NO_ANSWER
        there: Any = ports.future()
        there.set_result("reply")
        assert await ports.wait(there, time.monotonic() - 1) == "reply"

    run(main())


def test_a_loader_that_returns_a_plain_value_is_named() -> None:
    def plain(number: int) -> int:
        return number

    with pytest.raises(TypeError, match=r"plain returned a int.*async def"):
        run(call_awaited(plain, 1))


def test_a_loader_that_ends_its_own_way_is_no_answer_for_others() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def leaves() -> None:
        raise SystemExit(3)

    def at_once() -> None:
        raise SystemExit(4)

    for loader, kind in ((cancels, asyncio.CancelledError), (leaves, SystemExit), (at_once, SystemExit)):
        with pytest.raises(LoaderEndedError) as caught:
            run(call_awaited(loader))
        assert isinstance(caught.value.original, kind)


def test_a_cancelled_caller_is_cancelled() -> None:
    async def main() -> None:
        task = asyncio.create_task(call_awaited(asyncio.sleep, 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_flight_tells_its_end_and_an_error_of_its_work_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        ports, ends = runtime(), list[BaseException | None]()

        async def fails() -> None:
            raise LookupError("x")

        async def works() -> None:
            return None

        for work in (works, fails):
            await ports.spawn(Flight(), work, lambda error=None: ends.append(error))
        await asyncio.sleep(0.01)
        assert [type(end) for end in ends] == [type(None), LookupError]

    run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_close_cancels_what_runs_and_nothing_begins_after() -> None:
    async def main() -> None:
        ports, ends, begun = runtime(), [], asyncio.Event()

        async def works() -> None:
            begun.set()
            await asyncio.sleep(60)

        flight = Flight()
        assert ports.spawn_background(flight, works, lambda _error=None: ends.append(1))
        await begun.wait()
        await ports.close(10)
        assert flight.task.cancelled()
        assert ends == [1]
        assert not ports.spawn_background(flight, works, lambda _error=None: None)

    run(main())
