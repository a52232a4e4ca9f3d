"""Twenty thousand calls on one connection, a third of them cancelled somewhere: each other call gets its own answer."""

import asyncio
from random import Random
from typing import Any

from fleetcache import Cache
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

CALLS, WORKERS, KEYS = 20_000, 200, 500


async def _fuzz(cache: Cache, *, until_wrong: bool = False) -> tuple[int, int, int]:
    """Count the calls with the right answer, the cancelled ones, and those that got another call's answer."""
    random = Random(1)
    await cache.set_many({f"z{n}": f"value {n}" for n in range(KEYS)})
    right = cancelled = wrong = 0

    async def one() -> None:
        nonlocal right, cancelled, wrong
        number = random.randrange(KEYS)
        task = asyncio.create_task(cache.get(f"z{number}"))
        if random.random() < 1 / 3:
            await asyncio.sleep(random.choice((0, 0, 0.0003)))
            task.cancel()
        try:
            found = await task
        except asyncio.CancelledError:
            cancelled += 1
        else:
            right += found == f"value {number}"
            wrong += found not in {f"value {number}", None}

    async def worker() -> None:
        for _ in range(CALLS // WORKERS):
            if until_wrong and wrong:
                return
            await one()

    await asyncio.gather(*(worker() for _ in range(WORKERS)))
    return right, cancelled, wrong


async def _fuzz_a_cache(server: Server, prefix: str) -> tuple[int, int, int]:
    async with _without_near(server, prefix) as cache:
        counted = await _fuzz(cache)
        await eventually(lambda: cache.stats().flights == 0 and not cache._engine.coherence._tokens)
        assert (cache.stats().link, cache.stats().epoch, cache.stats().errors) == ("online", 1, {})
        return counted


def _without_near(server: Server, prefix: str) -> Cache:
    """Return a cache without near, so that every call goes to the server."""
    return Cache(server.url, prefix=prefix, operation_timeout="10s", near_max_bytes=0)


def test_cancelled_callers_leave_the_others_their_answers(server: Server, prefix: str) -> None:
    right, cancelled, wrong = run(_fuzz_a_cache(server, prefix))
    assert wrong == 0
    assert cancelled > CALLS / 10, "too few were cancelled in time: this proves nothing"
    assert right + cancelled == CALLS


async def _fuzz_a_naive_cache(server: Server, prefix: str) -> int:
    """Fuzz a cache where a cancelled caller takes its reply's slot along."""
    async with _without_near(server, prefix) as cache:
        ports: Any = cache._engine.ports
        wait = ports.wait

        async def leave_with_the_slot(future: Any, until: float | None) -> Any:
            try:
                return await wait(future, until)
            except asyncio.CancelledError:
                wire: Any = cache._engine.wire
                calls = wire.session.calls
                for call in [call for call in calls if call.future is future]:
                    calls.remove(call)
                raise

        ports.wait = leave_with_the_slot
        _, _, wrong = await _fuzz(cache, until_wrong=True)
        return wrong


def test_twin_a_caller_that_takes_its_slot_along_mixes_up_the_answers(server: Server, prefix: str) -> None:
    assert run(_fuzz_a_naive_cache(server, prefix)) > 0
