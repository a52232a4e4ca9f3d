"""A caller's future: it ends with ``NO_ANSWER`` without a reply, and an earlier reply stays."""

import asyncio

from fleetcache.engine.threads.monitor import ThreadFuture
from fleetcache.futures import NO_ANSWER, Future, tell_unanswered
from tests.support.run import run


def test_a_waiting_caller_is_told_that_no_reply_came() -> None:
    async def main() -> None:
        futures: list[Future] = [asyncio.get_running_loop().create_future(), ThreadFuture()]
        for future in futures:
            tell_unanswered(future)
            assert future.done()
            assert future.result() is NO_ANSWER  # type: ignore[attr-defined]  # both kinds have it

    run(main())


def test_a_reply_that_came_first_stays() -> None:
    async def main() -> None:
        futures: list[Future] = [asyncio.get_running_loop().create_future(), ThreadFuture()]
        for future in futures:
            future.set_result("reply")
            tell_unanswered(future)
            assert future.result() == "reply"  # type: ignore[attr-defined]  # as above

    run(main())


def test_a_cancelled_caller_and_a_call_without_one_are_left_alone() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        tell_unanswered(future)
        tell_unanswered(None)
        assert future.cancelled()

    run(main())
