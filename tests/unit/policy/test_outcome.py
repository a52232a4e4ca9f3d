"""Outcomes: the next step of each caller, and an error that is dropped with its last caller."""

import pytest

from fleetcache.policy.context import Budget, Load
from fleetcache.policy.options import CallOptions
from fleetcache.policy.outcome import Outcome, Resolution
from fleetcache.policy.single_flight import Flight


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


def test_a_caller_that_needs_no_error_lets_go_of_it() -> None:
    outcome = Outcome(Resolution.RAISE, Resolution.RETRY, error=LookupError())
    outcome.callers = 2
    outcome.leave()
    assert outcome.error is not None
    outcome.leave()
    assert outcome.error is None


@pytest.mark.parametrize(
    ("others", "expected"),
    [(Resolution.RETURN, Resolution.RAISE), (Resolution.RETRY, Resolution.RETRY)],
    ids=["in time", "after a removal"],
)
def test_a_stored_error_is_for_those_who_would_have_had_a_value(others: Resolution, expected: Resolution) -> None:
    error = LookupError("no such user")
    run = Load("k", str, CallOptions(60.0, 0.0, (), 30.0), str, "", Flight("k", ()), Budget(1.0), None, error=error)
    outcome = run.ended_by(Outcome(Resolution.RETURN, others, until=5.0))
    assert (outcome.own, outcome.others, outcome.error, outcome.until) == (Resolution.RAISE, expected, error, 5.0)
