"""The user's own checks: judged by their result or error, each with its own timeout, shared by concurrent probes."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from fleetcache import ConfigError
from fleetcache.ops import Check
from fleetcache.ops.checks import Checks
from tests.support.clock import ManualClock
from tests.support.run import run
from tests.support.waiting import eventually


async def fine() -> None: ...


async def broken() -> None:
    raise ConnectionError("cannot reach db-7.internal with password hunter2")


async def cancelled() -> None:
    raise asyncio.CancelledError


def saying(answer: object) -> Callable[[], Awaitable[Any]]:
    async def check() -> object:
        return answer

    return check


@pytest.mark.parametrize(
    ("fn", "ok", "detail", "error"),
    [
        (fine, True, None, None),
        (saying(True), True, None, None),
        (saying("3 replicas"), True, "3 replicas", None),
        (saying(""), True, "", None),
        (partial(saying(None)), True, None, None),
        (saying(False), False, None, None),
        (broken, False, None, "ConnectionError"),
        (cancelled, False, None, "CancelledError"),
    ],
)
def test_what_a_check_says_is_its_result(
    fn: Callable[[], Awaitable[Any]], ok: bool, detail: str | None, error: str | None
) -> None:
    result = run(Checks({"it": fn}).results())["it"]
    assert (result.ok, result.detail, result.error) == (ok, detail, error)


@pytest.mark.parametrize("answer", [0, 1, {}, b"fine"])
def test_an_answer_that_means_nothing_is_a_failure_that_says_what_would(answer: object) -> None:
    result = run(Checks({"it": saying(answer)}).results())["it"]
    assert not result.ok
    assert result.detail == (
        f"returned {type(answer).__name__}; accepted: None, True or text when all is well, else False or an exception"
    )


def test_a_plain_function_is_a_failure_because_it_would_block_all_probes() -> None:
    result = run(Checks({"it": lambda: True}).results())["it"]  # type: ignore[dict-item, return-value]  # wrong on purpose
    assert (result.ok, result.error) == (False, "TypeError")


def test_checks_run_side_by_side() -> None:
    async def scene() -> None:
        meeting = asyncio.Barrier(3)

        async def meet() -> None:
            await meeting.wait()

        results = await Checks({name: Check(meet, timeout="5s") for name in "abc"}).results()
        assert [result.ok for result in results.values()] == [True, True, True]
        assert list(results) == ["a", "b", "c"]

    run(scene())


def test_each_check_has_its_own_timeout() -> None:
    async def scene() -> None:
        gone: list[str] = []

        async def hangs() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                gone.append("cancelled")

        results = await Checks({"slow": Check(hangs, timeout="20ms"), "quick": fine}).results()
        assert (results["slow"].ok, results["slow"].error) == (False, "timeout")
        assert results["quick"].ok
        await eventually(lambda: gone == ["cancelled"])

    run(scene())


def test_a_check_that_cannot_be_stopped_holds_up_nobody_and_is_not_called_again_until_it_ends() -> None:
    async def scene() -> None:
        clock, calls, release = ManualClock(), 0, asyncio.Event()

        async def stubborn() -> None:
            nonlocal calls
            calls += 1
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        checks = Checks({"stubborn": Check(stubborn, timeout="10ms")}, clock)
        try:
            for _ in range(3):
                assert (await checks.results())["stubborn"].error == "timeout"
                clock.advance(1)
            assert calls == 1
        finally:
            release.set()  # or the loop would never end
        await eventually(lambda: len(asyncio.all_tasks()) == 1)
        assert (await checks.results())["stubborn"].ok
        assert calls == 2

    run(scene())


def test_results_are_shared_for_a_second() -> None:
    async def scene() -> None:
        clock, calls = ManualClock(), 0

        async def count() -> str:
            nonlocal calls
            calls += 1
            return str(calls)

        checks = Checks({"it": count}, clock)

        async def ask() -> str | None:
            return (await checks.results())["it"].detail

        assert set(await asyncio.gather(*(ask() for _ in range(200)))) == {"1"}
        clock.advance(0.99)
        assert await ask() == "1"
        clock.advance(0.01)
        assert set(await asyncio.gather(*(ask() for _ in range(200)))) == {"2"}

    run(scene())


def test_a_probe_that_goes_away_does_not_end_the_run_for_the_others() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def waits() -> None:
            await release.wait()

        checks = Checks({"it": Check(waits, timeout="5s")})
        first, second = (asyncio.create_task(checks.results()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait((first,))
        release.set()
        assert (await second)["it"].ok

    run(scene())


def test_checks_go_on_after_their_event_loop_ended_in_the_middle_of_a_run() -> None:
    async def waits() -> None:
        await asyncio.sleep(0.02)

    checks = Checks({"it": waits})

    async def leaves() -> None:
        asking = asyncio.ensure_future(checks.results())
        await asyncio.sleep(0)
        asking.cancel()

    asyncio.run(leaves())
    assert run(checks.results())["it"].ok


def test_no_checks_are_no_results() -> None:
    assert run(Checks(None).results()) == run(Checks({}).results()) == {}


# Without their types, for arguments that a type checker would reject.
_check: Any = Check
_checks: Any = Checks


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: _checks([fine]), "checks = a value of type list is not a mapping"),
        (lambda: _checks({"": fine}), "the name of a check = '' is not a name"),
        (lambda: _checks({3: fine}), "the name of a check = 3 is not a name"),
        (lambda: _checks({"db": "SELECT 1"}), r"checks\['db'\] is a value of type str; accepted: an async function"),
        (lambda: _check(None), "Check.fn = None cannot be called"),
        (lambda: _check(fine, timeout="0"), "Check.timeout = '0' must be more than zero"),
        (lambda: _check(fine, critical="no"), "Check.critical = 'no' is not a boolean; accepted: True, False"),
    ],
)
def test_wrong_checks_are_refused_at_once(build: Callable[..., Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build()
