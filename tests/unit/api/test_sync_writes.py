"""Writes of threads: each takes the options of the verb for tasks, and hands all of them on."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache import ConfigError, KeyRuleError, SyncCache
from fleetcache.api.sync_writes import SyncWrites
from fleetcache.api.writes import Writes

VERBS = [name for name in vars(Writes) if not name.startswith("_")]


def test_threads_have_the_writes_of_tasks_with_the_same_arguments() -> None:
    assert len(VERBS) == 9
    for name in VERBS:
        assert inspect.signature(getattr(SyncWrites, name)) == inspect.signature(getattr(Writes, name)), name


# Wrong options are named by the rules behind, so an option that is not handed on would pass.
@pytest.mark.parametrize("verb", ["set", "add", "set_many"])
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("ttl", -1, ConfigError),
        ("stale", -1, ConfigError),
        ("tags", "t", KeyRuleError),
        ("offline_ttl", -1, ConfigError),
        ("type", bytes, Exception),
    ],
)
def test_options_are_handed_on(verb: str, option: str, value: Any, error: type[Exception]) -> None:
    cache = SyncCache("memory://")
    given = ({"k": "v"},) if verb == "set_many" else ("k", "v")
    call: Callable[..., Any] = getattr(cache, verb)
    with pytest.raises(error):
        call(*given, **{option: value})
    call(*given)
    assert cache.get("k") == "v"
