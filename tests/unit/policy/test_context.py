"""The parts of policy: how long a call may wait for the server, and for how long it asks for a right to load."""

from typing import Any

import pytest

from fleetcache import Cache, ConfigError
from fleetcache.futures import NO_ANSWER
from fleetcache.policy.context import Budget, LoadTimes, kept_options
from fleetcache.policy.lookup import EntryState
from fleetcache.policy.options import CallOptions
from tests.support.drivers import Driver
from tests.support.run import run


def test_a_right_is_asked_for_twice_as_long_as_such_a_load_takes() -> None:
    times = LoadTimes()
    assert times.lease("unknown") == LoadTimes.FIRST
    for took, lease in ((0.01, LoadTimes.MIN), (2.0, 4.0), (60.0, LoadTimes.MAX)):
        for _ in range(30):
            times.learn("group", took)
        assert times.lease("group") == pytest.approx(lease, rel=0.01)


def test_a_budget_is_one_operation_in_all_until_it_is_renewed() -> None:
    budget = Budget(2.0)
    assert (budget.whole, budget.left) == (True, 2.0)
    budget.spend(1.5)
    budget.spend(1.0)
    assert (budget.whole, budget.left) == (False, -0.5)
    budget.renew()
    assert (budget.whole, budget.left) == (True, 2.0)


def test_one_slow_load_does_not_stretch_the_next_leases() -> None:
    times = LoadTimes()
    for _ in range(20):
        times.learn("group", 1.0)
    times.learn("group", 5.0)
    assert times.lease("group") == pytest.approx(4.0)
    times.learn("group", 1.0)
    assert times.lease("group") < 4.0


def test_groups_are_bounded() -> None:
    times = LoadTimes()
    for number in range(LoadTimes.GROUPS + 1):
        times.learn(f"group {number}", 3.0)
    assert times.lease("group 0") == LoadTimes.FIRST, "forgotten with all others"
    assert times.lease(f"group {LoadTimes.GROUPS}") == 6.0


@pytest.mark.parametrize(
    ("ttl", "stale", "kept"),
    [(None, None, (60.0, 5.0)), ("2m", None, (120.0, 5.0)), (None, 0, (60.0, 0.0)), (0.5, "1s", (0.5, 1.0))],
)
def test_a_loader_decides_the_times_that_it_names(ttl: Any, stale: Any, kept: tuple[float, float]) -> None:
    options = kept_options(CallOptions(ttl=60.0, stale=5.0, tags=(), offline_ttl=0.0), ttl, stale)
    assert (options.ttl, options.stale) == kept


@pytest.mark.parametrize(
    ("ttl", "stale", "named"), [(0, None, "Keep.ttl"), ("x", None, "Keep.ttl"), (None, -1, "Keep.stale")]
)
def test_a_time_that_is_none_is_refused_by_name(ttl: Any, stale: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        kept_options(CallOptions(ttl=60.0, stale=5.0, tags=(), offline_ttl=0.0), ttl, stale)


def test_without_a_reply_a_call_spends_its_budget_and_no_more() -> None:
    async def main() -> None:
        async with Cache("memory://", operation_timeout="30ms") as cache:
            ctx = cache._engine.ctx
            budget = ctx.budget()
            assert await ctx.ask(None, budget) is NO_ANSWER
            assert budget.whole, "nothing was sent"
            budget.spend(0.0)
            assert await ctx.ask(ctx.ports.future(), budget) is NO_ANSWER
            assert budget.left <= 0.005

    run(main())


def test_while_the_removal_of_a_key_is_owed_the_key_is_not_read(
    remote: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with remote.cache() as cache, remote.cache() as other:
            await other.set("k", "x", tags=["new"])
            await cache.get("warm")
            ctx = cache._engine.ctx
            token = ctx.coherence.open_fill("k")
            seen = await ctx.read("k", str, token, ctx.budget())
            assert (seen.state, seen.answer and seen.answer.value) == (EntryState.FRESH, "x"), "its tag was read, too"
            cache._engine.coherence.defer(("e", "k"), 1)
            monkeypatch.setattr(ctx.shared, "look", None)  # a read would call it
            assert (await ctx.read("k", str, token, ctx.budget())).state is EntryState.UNAVAILABLE

    run(main())
