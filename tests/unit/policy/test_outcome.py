"""Outcomes: the next step of each caller, and an error that is dropped with its last caller."""

import pytest

from fleetcache.policy.outcome import Outcome, Resolution


def test_callers_that_joined_do_as_the_starter_unless_told_otherwise() -> None:
    assert Outcome(Resolution.RETURN).others is Resolution.RETURN
    outcome = Outcome(Resolution.RETURN, Resolution.RETRY)
    assert (outcome.own, outcome.others) == (Resolution.RETURN, Resolution.RETRY)


def test_each_caller_gets_the_error_and_the_last_one_takes_it_out() -> None:
    error = LookupError("no such user")
    outcome = Outcome(Resolution.RAISE, error=error)
    outcome.callers = 2
    for left in (error, None):
        with pytest.raises(LookupError) as caught:
            outcome.raise_error()
        assert caught.value is error
        assert outcome.error is left


def test_the_traceback_does_not_grow_with_each_caller() -> None:
    def length() -> int:
        with pytest.raises(LookupError) as caught:
            outcome.raise_error()
        return len(caught.traceback)

    outcome = Outcome(Resolution.RAISE, error=LookupError())
    outcome.callers = 3
    assert length() == length() == length()
