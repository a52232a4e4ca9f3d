"""A home for embedded servers, for one test."""

from collections.abc import Iterator

import pytest

from fleetcache.shared.embedded import launch
from tests.embedded.home import LINGER, Home


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A folder for servers that end soon after their last user, and at the end of the test at the latest."""
    monkeypatch.setattr(launch, "LINGER", LINGER)
    with Home() as found:
        yield found
