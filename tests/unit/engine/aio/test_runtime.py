"""The runtime of asyncio: waits end in time, loaders must be awaitable, and a close ends the tasks of flights."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from fleetcache.engine.aio import runtime as module
from fleetcache.engine.aio.runtime import AioRuntime, call_awaited
from fleetcache.futures import NO_ANSWER
from fleetcache.policy.ports import LoaderEndedError
from tests.support.clock import ManualClock
from tests.support.run import run
from tests.support.waiting import eventually


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


class EarlyLoop(asyncio.SelectorEventLoop):
    """A loop whose timers ring too soon by as much as those of uvloop may, which counts in whole milliseconds."""

    def call_later(  # type: ignore[override] # as far as the cache uses it
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return super().call_later(max(0.0, delay - 0.0015), callback, *args, context=context)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"early": EarlyLoop}
if find_spec("uvloop"):
    LOOPS["uvloop"] = import_module("uvloop").new_event_loop


@pytest.mark.parametrize("loop", LOOPS)
def test_no_wait_and_no_alarm_ends_too_soon(loop: str) -> None:
    """A call whose wait ended too soon would have time left, and the server would not count as late yet."""

    async def main() -> None:
        ports = runtime()
        for _ in range(30):
            until = time.monotonic() + 0.0034
            assert await ports.wait(ports.future(), until) is NO_ANSWER
            assert time.monotonic() >= until
            rang, until = asyncio.Event(), time.monotonic() + 0.0034
            ports.call_later(0.0034, rang.set)
            await rang.wait()
            assert time.monotonic() >= until

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


def test_a_cancelled_alarm_does_not_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COARSE", 0.3)  # time to cancel it, on a busy machine too

    async def main() -> None:
        rang: list[int] = []
        ports = AioRuntime(ManualClock(), lambda: 0.5)
        ports.call_later(0.0, partial(rang.append, 1))
        ports.call_later(0.0, partial(rang.append, 2)).cancel()
        early: Any = ports.call_later(0.004, partial(rang.append, 3))
        begun = early._handle
        await eventually(lambda: early._handle is not begun)  # the loop's timer has rung before its time
        early.cancel()
        await asyncio.sleep(0.4)
        assert rang == [1]

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
