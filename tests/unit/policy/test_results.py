"""``NoStore``, ``Keep`` and ``MISSING``: a loader's words beside a plain value."""

import copy
import pickle

import pytest

from fleetcache import MISSING, Keep, NoStore
from fleetcache.policy.results import unwrap


@pytest.mark.parametrize("result", [NoStore([1]), Keep([1], ttl="1m"), [1]], ids=repr)
def test_a_caller_alone_gets_the_value_itself(result: object) -> None:
    assert unwrap(result) == [1]


def test_a_wrapper_inside_a_value_is_part_of_the_value() -> None:
    assert unwrap([NoStore(1)]) == [NoStore(1)]


def test_lifetimes_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Keep(1, "1m")  # type: ignore[call-arg]  # the case


def test_a_result_cannot_be_changed() -> None:
    for result in (NoStore(1), Keep(1)):
        with pytest.raises(AttributeError):
            result.value = 2  # type: ignore[misc]  # the case


def test_missing_stays_itself_when_it_is_copied() -> None:
    assert copy.deepcopy(MISSING) is MISSING
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING  # noqa: S301 - our own bytes
    assert repr(MISSING) == "MISSING"
