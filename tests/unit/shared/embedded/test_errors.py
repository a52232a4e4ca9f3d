"""The error of an embedded server: a reason code that health and metrics know, and one that users can catch."""

from typing import get_args

import pytest

from fleetcache import FleetcacheError
from fleetcache.shared.embedded.errors import EmbeddedError, Reason
from fleetcache.wire.reasons import EMBEDDED


def test_a_user_catches_it_and_reads_its_reason() -> None:
    with pytest.raises(FleetcacheError, match="ended at once") as caught:
        raise EmbeddedError("embedded_start", "the server ended at once")
    assert isinstance(caught.value, RuntimeError)
    assert getattr(caught.value, "reason", None) == "embedded_start"


def test_each_reason_of_its_own_is_one_that_only_a_person_can_mend() -> None:
    assert {reason for reason in get_args(Reason) if reason.startswith("embedded")} == EMBEDDED
