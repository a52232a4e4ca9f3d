"""Stats and health are pictures of one moment: nobody changes one for somebody else."""

from typing import Any

import pytest

from fleetcache import Cache


@pytest.mark.parametrize(("report", "field"), [("stats", "near_hits"), ("status_now", "status")])
def test_a_report_cannot_be_changed(report: str, field: str) -> None:
    taken: Any = getattr(Cache("memory://"), report)()
    with pytest.raises(AttributeError):
        setattr(taken, field, 1)
