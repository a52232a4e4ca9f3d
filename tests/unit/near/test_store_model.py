"""Near against a dict: any sequence of puts, reads and removals, with burials of any length between them."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleetcache.near.store import Near, NearEntry
from tests.support.near_store import bury_all, check_sums, held, living

KEYS = st.sampled_from([f"key:{number}" for number in range(30)])
TAGS = st.sampled_from(["*users", "a", "b", "c"])


class NearAgainstDict(RuleBasedStateMachine):
    """Near may hold fewer entries than the dict, never other ones; its sums are those of its entries.

    With ``at_once`` 0 each removal ends a generation, and the dead stay until they are buried.
    """

    @initialize(
        max_items=st.integers(1, 20),
        max_bytes=st.sampled_from([2_000, 8_000, 10**6]),
        at_once=st.sampled_from([0, 128]),
    )
    def start(self, max_items: int, max_bytes: int, at_once: int) -> None:
        self.near = Near(max_items, max_bytes)
        self.near.AT_ONCE = at_once
        self.model: dict[str, NearEntry] = {}

    def forget_in_model(self, gone: Callable[[str, NearEntry], bool]) -> int:
        keys = [key for key, entry in self.model.items() if gone(key, entry)]
        here = living(self.near)
        for key in keys:
            del self.model[key]
        return sum(key in here for key in keys)

    @rule(
        key=KEYS,
        size=st.integers(0, 1_500),
        tags=st.lists(TAGS, max_size=4),
        until=st.floats(0, 9),
        backed=st.booleans(),
    )
    def put(self, key: str, size: int, tags: list[str], until: float, *, backed: bool) -> None:
        entry = held(size=size, tags=("*", *tags), stale_until=until, backed=backed)
        kept = self.near.put(key, entry)
        assert kept == (self.near.items.get(key) is entry)
        if kept:
            self.model[key] = entry
        else:
            assert key not in self.near.items
            self.model.pop(key, None)

    @rule(key=KEYS, times=st.integers(1, 4))
    def read(self, key: str, times: int) -> None:
        entry = self.near.living(key)
        if entry is not None:
            for _ in range(times):
                self.near.touch(entry)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        assert self.forget_in_model(lambda other, _entry: other == key) == self.near.forget(key)

    @rule(tag=TAGS)
    def forget_tag(self, tag: str) -> None:
        were = bool(self.near._graveyard)
        there = self.forget_in_model(lambda _key, entry: tag in entry.tags)
        said = self.near.forget_tag(tag)
        assert said >= there if were else said == there

    @rule()
    def forget_unconfirmed(self) -> None:
        were = bool(self.near._graveyard)
        there = self.forget_in_model(lambda _key, entry: entry.unconfirmed)
        said = self.near.forget_unconfirmed()
        assert said >= there if were else said == there

    @rule(now=st.floats(0, 9), limit=st.integers(0, 100))
    def sweep(self, now: float, limit: int) -> None:
        before = living(self.near)
        dropped = self.near.sweep(now, limit)
        gone = [entry for key, entry in before.items() if key not in self.near.items]
        assert len(gone) == dropped <= limit
        assert all(entry.stale_until <= now for entry in gone)

    @rule(tag=st.sampled_from(["clear", "*"]))
    def clear(self, tag: str) -> None:
        were = bool(self.near._graveyard)
        there = self.forget_in_model(lambda _key, _entry: True)
        said = self.near.clear() if tag == "clear" else self.near.forget_tag(tag)
        assert said <= there if were else said == there
        assert not living(self.near)

    @rule(steps=st.integers(0, 12))
    def bury(self, steps: int) -> None:
        here = living(self.near)
        self.near.bury(steps)
        assert living(self.near) == here

    @rule()
    def start_over(self) -> None:
        self.forget_in_model(lambda _key, _entry: True)
        self.near.start_over()
        assert (self.near.items, self.near.bytes, self.near.bury(0)) == ({}, 0, False)

    @invariant()
    def holds_nothing_the_model_does_not(self) -> None:
        assert all(self.model.get(key) is entry for key, entry in living(self.near).items())

    @invariant()
    def sums_and_bounds_and_places_are_exact(self) -> None:
        check_sums(self.near)

    def teardown(self) -> None:
        if hasattr(self, "near"):
            here = living(self.near)
            bury_all(self.near)
            assert self.near.items == here
            assert self.near._generations._removed == {}
            check_sums(self.near)


NearAgainstDict.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
test_near_against_a_dict = NearAgainstDict.TestCase
