"""Loads that fail: one in the fleet at a time until the second in a row, then one in each process that waited."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from fleetcache import MISSING, LoadTimeout
from fleetcache.format.entry import GUARD_MS, ILL
from fleetcache.format.keys import Layout
from fleetcache.policy.rights import Rights
from fleetcache.policy.single_flight import Flights
from tests.support.drivers import Driver
from tests.support.ill_source import (
    MANY,
    DownError,
    Scene,
    Source,
    a_moment,
    count_waits,
    each_kind_and_face,
    on_each_kind,
    on_each_kind_and_face,
    one,
)
from tests.support.servers import Server
from tests.support.waiting import eventually


@on_each_kind_and_face
def test_after_two_failed_loads_all_who_waited_load_at_the_same_time(remote: Driver, kind: str, face: str) -> None:
    async def body(scene: Scene) -> None:
        source = scene.source = Source(MANY, count_waits(scene))
        found = await scene.ask_all()
        assert [error.args for error in found] == [(caller,) for caller in range(MANY)], "each caller has its own error"
        assert (source.loads, source.most) == (MANY, MANY - 2)
        assert set(source.most_of.values()) == {1}
        assert await scene.caches[0].get("k", MISSING) in {MISSING, "old"}

    Scene(remote, kind, face).play(body)


@on_each_kind
def test_twin_without_the_mark_they_load_one_after_another(
    remote: Driver, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Rights, load: Any, right: Any, _took: float, **_more: Any) -> None:
        self.release(load, right)

    monkeypatch.setattr(Rights, "fail", fail)

    async def body(scene: Scene) -> None:
        source = scene.source = Source(MANY, a_moment)
        await scene.ask_all()
        assert (source.loads, source.most) == (MANY, 1)

    Scene(remote, kind).play(body)


@on_each_kind_and_face
def test_one_failed_load_is_followed_by_one(remote: Driver, kind: str, face: str) -> None:
    async def body(scene: Scene) -> None:
        source = scene.source = Source(1, count_waits(scene))
        found = await scene.ask_all()
        errors = [error for error in found if isinstance(error, DownError)]
        refreshed = kind.startswith("refresh")  # each of them loads by itself, one after another
        assert (len(errors), source.most) == (1, 1)
        assert source.loads == (MANY if refreshed else 2)
        assert refreshed or [value for value in found if value not in errors] == ["value 2"] * (MANY - 1)

    Scene(remote, kind, face).play(body)


@on_each_kind
def test_the_first_of_them_to_succeed_stores_its_value_and_the_others_keep_theirs(remote: Driver, kind: str) -> None:
    async def body(scene: Scene) -> None:
        scene.source = Source(2, count_waits(scene))
        found = await scene.ask_all()
        values = sorted(value for value in found if isinstance(value, str))
        assert values == [f"value {number}" for number in range(3, MANY + 1)]
        stored = {await cache.get("k") for cache in scene.caches}
        assert len(stored) == 1
        assert stored <= set(values)
        refused = sum(cache.stats().refused_swaps for cache in scene.caches)
        assert refused == (MANY - 3) * (2 if kind.startswith("batch") else 1)
        with remote.server.client() as raw:  # type: ignore[union-attr] # there is one
            assert raw("EXISTS", Layout(remote.prefix).claim("k")) == 0, "the value ends the mark"

    Scene(remote, kind).play(body)


def overlaps_in_a_process(remote: Driver, kind: str, face: str = "") -> int:
    """Return the most loads of a key that a process ran at once while its callers kept asking a source that is down.

    Two batches may load one key each, if the rights to load were not granted together.
    """
    most = 0

    async def uneven(number: int) -> None:
        await asyncio.sleep((0.01, 0.12, 0.03)[number % 3])

    async def body(scene: Scene) -> None:
        nonlocal most
        source = scene.source = Source(10**6, uneven)

        async def keep_asking(caller: int) -> None:
            calls = []
            for _ in range(60):
                calls.append(asyncio.ensure_future(scene.ask(scene.caches[caller], source, caller)))
                await asyncio.sleep(0.02)
            for call in calls:
                with pytest.raises(DownError):
                    await call

        await asyncio.gather(*(keep_asking(caller) for caller in range(3)))
        most = max(source.most_of.values())

    Scene(remote, kind, face).play(body)
    return most


@each_kind_and_face("lease", "claim", "batch")
def test_a_process_runs_one_load_of_a_key_at_a_time(remote: Driver, kind: str, face: str) -> None:
    assert overlaps_in_a_process(remote, kind, face) == 1


def test_twin_without_a_look_at_its_other_loads_it_runs_several(
    one_server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Flights, "beside", lambda *_: None)
    monkeypatch.setattr(Flights, "lead", lambda *_: None)
    assert overlaps_in_a_process(Driver("valkey", one_server, prefix), "lease") > 1


@on_each_kind_and_face
def test_who_may_not_join_a_load_on_a_mark_waits_for_its_end(remote: Driver, kind: str, face: str) -> None:
    """A removal of a tag detaches the load and leaves the mark, which a later caller may step over."""
    over = asyncio.Event()

    async def body(scene: Scene) -> None:
        fail = count_waits(scene)

        async def hold(number: int) -> None:
            await (fail(number) if number <= ILL else eventually(over.is_set))

        source = scene.source = Source(ILL, hold)
        calls = [asyncio.ensure_future(scene.ask(cache, source, caller)) for caller, cache in enumerate(scene.caches)]
        await eventually(lambda: source.running == source.loads - ILL == MANY - ILL)
        caller = next(caller for (caller, _), running in source.running_of.items() if running)
        cache = scene.caches[caller]
        await cache.invalidate_tags("t")
        on_mark = [flight for flight in cache._engine.flights.active() if flight.on_mark]
        assert [flight.detached for flight in on_mark] == [True] * len(on_mark)
        await asyncio.sleep(GUARD_MS / 1000)  # until the mark is stepped over

        before = sum(flight.waiters for flight in on_mark)
        later = asyncio.ensure_future(scene.ask(cache, source, caller))
        await eventually(lambda: source.loads > MANY or sum(flight.waiters for flight in on_mark) > before)
        over.set()
        assert "value" in await later
        await asyncio.gather(*calls, return_exceptions=True)
        assert source.most_of[caller, "k"] == 1

    Scene(remote, kind, face).play(body)


@on_each_kind_and_face
def test_later_callers_begin_with_one_load(remote: Driver, kind: str, face: str) -> None:
    """They have waited for nothing, and the source may be well again."""

    async def body(scene: Scene) -> None:
        scene.source = Source(MANY, count_waits(scene))
        await scene.ask_all()
        await asyncio.sleep(0.15)  # until the mark is stepped over
        later = scene.source = Source(0, a_moment)
        found = await scene.ask_all()
        refreshed = kind.startswith("refresh")
        assert (later.loads, later.most) == (MANY if refreshed else 1, 1)
        assert refreshed or found == ["value 1"] * MANY

    Scene(remote, kind, face).play(body)


def test_callers_of_the_process_whose_claim_failed_are_woken(remote: Driver) -> None:
    go = asyncio.Event()

    async def first_waits(number: int) -> None:
        if number == 1:
            await go.wait()

    async def body(scene: Scene) -> None:
        cache, source = scene.caches[0], Source(1, first_waits)
        first = asyncio.create_task(one(cache, source, 1))
        await eventually(lambda: source.running == 1)
        await cache.invalidate_tags("t")  # nobody joins the first load any more
        second = asyncio.create_task(one(cache, source, 2))
        await eventually(lambda: cache.stats().waits == 1)
        go.set()
        assert await asyncio.wait_for(second, 5) == "value 2", "a claim lasts 10 s"
        with pytest.raises(DownError):
            await first

    Scene(remote, "claim").play(body)


@on_each_kind
def test_a_cancelled_load_leaves_no_mark(remote: Driver, kind: str) -> None:
    async def body(scene: Scene) -> None:
        source = scene.source = Source(0, lambda number: asyncio.sleep(60 if number == 1 else 0))
        cache, other = scene.caches[:2]
        call = asyncio.create_task(scene.ask(cache, source, 1))
        await eventually(lambda: source.running == 1)
        call.cancel()
        await asyncio.wait((call,))
        await eventually(lambda: source.running == 0)
        await cache.get("another")  # the right is returned by now
        assert remote.server is not None
        with remote.server.client() as raw:
            keys = Layout(remote.prefix)
            assert raw("GETRANGE", keys.entry("k"), 0, 0) in {b"", b"V"}
            assert raw("EXISTS", keys.claim("k")) == 0
        assert await asyncio.wait_for(scene.ask(other, source, 2), 5) == "value 2"

    Scene(remote, kind).play(body)


@each_kind_and_face("lease", "claim", "refresh", "batch")
def test_callers_that_waited_for_a_load_over_its_limit_get_load_timeout(
    remote: Driver, kind: str, face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = Rights.fail

    def over_its_limit(self: Rights, load: Any, right: Any, took: float, **_more: Any) -> None:
        fail(self, load, right, took, timed_out=True)

    monkeypatch.setattr(Rights, "fail", over_its_limit)

    async def body(scene: Scene) -> None:
        source = scene.source = Source(MANY, count_waits(scene))
        found = await scene.ask_all()
        kinds = Counter(type(error) for error in found)
        assert kinds == {DownError: 1, LoadTimeout: MANY - 1}
        assert source.loads == 1
        assert "load_limit" in str(next(error for error in found if isinstance(error, LoadTimeout)))

    Scene(remote, kind, face).play(body)


def test_a_claim_whose_script_was_forgotten_reads_the_entry_after_it(remote: Driver) -> None:
    """The read in the same write is answered before the claim, and may show an entry that was replaced meanwhile."""

    async def body(scene: Scene) -> None:
        cache, source = scene.caches[0], Source(0, a_moment)
        shared = cache._engine.shared
        looks: list[bytes] = []
        claim, look = shared.claim, shared.look

        def forgotten(key: str, claim_token: bytes, *args: Any, **more: Any) -> Any:
            assert remote.server is not None
            with remote.server.client() as raw:
                raw("SCRIPT", "FLUSH")
            looks.clear()
            return claim(key, claim_token, *args, **more)

        def counted(key: str, *args: Any, **more: Any) -> Any:
            looks.append(b"look")
            return look(key, *args, **more)

        vars(shared).update(claim=forgotten, look=counted)
        assert await one(cache, source, 1) == "value 1"
        assert len(looks) == 2, "one with the claim, one after it"
        assert await scene.caches[1].get("k") == "value 1"

    Scene(remote, "claim").play(body)
