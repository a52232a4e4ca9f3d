"""The result of a read: an expired entry that is about to go is told from one that a claim can still replace."""

from typing import Any

import pytest

from fleetcache.policy.lookup import ENDING, DecodedValue, EntryState, Lookup, NewEntry
from fleetcache.policy.options import CallOptions

REPLACEABLE = (EntryState.EXPIRED, EntryState.INVALID, EntryState.ERROR)


@pytest.mark.parametrize("state", REPLACEABLE)
def test_an_entry_is_ending_when_it_may_go_before_a_renewal(state: EntryState) -> None:
    assert Lookup(state, remaining=ENDING - 0.01).is_ending
    assert not Lookup(state, remaining=ENDING).is_ending


@pytest.mark.parametrize("state", [state for state in EntryState if state not in REPLACEABLE])
def test_no_other_state_is_ending(state: EntryState) -> None:
    assert not Lookup(state, remaining=0.0).is_ending


def test_a_result_names_its_state_and_reason_and_never_its_value() -> None:
    seen = Lookup(EntryState.INVALID, reason="signature", blob=(b"secret", 1))
    assert seen.state.value in repr(seen)
    assert "signature" in repr(seen)
    assert "secret" not in repr(seen)


def test_a_new_entry_never_shows_its_value() -> None:
    options = CallOptions(60.0, 0.0, ("t",), 0.0)
    entry = NewEntry(b"secret", 1000, b"V", DecodedValue("secret", b"secret", 0, Any), options, ())
    assert repr(entry) == "<NewEntry 6 bytes, tags=('t',)>"
