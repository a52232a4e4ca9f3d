"""``InlineRunner``: verbs run in the calling thread, and a stack without room for the rules calls the loader alone."""

import pytest

from fleetcache import SyncCache


def test_a_load_that_nests_too_deeply_for_the_rules_is_answered_and_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without room on the stack a rule would be broken off in the middle."""
    cache = SyncCache("memory://")
    monkeypatch.setattr("fleetcache.api.runner.has_room", lambda: False)
    assert cache.get_or_set("outer", lambda: cache.get_or_set("inner", lambda: 1) + 1) == 2
    assert cache.get_many(["outer", "inner"]) == {"outer": 2}
