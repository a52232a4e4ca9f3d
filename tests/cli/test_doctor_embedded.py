"""``fleetcache doctor`` with ``CACHE_DRIVER=embedded`` checks the server that the app would start or join."""

from collections.abc import Iterator

import pytest

from fleetcache.cli.doctor.findings import Code, Severity
from fleetcache.shared.embedded import launch
from tests.cli.examining import examined, one
from tests.embedded.home import LINGER, Home


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A folder for servers that end soon after their last user."""
    monkeypatch.setattr(launch, "LINGER", LINGER)
    with Home() as found:
        yield found


def test_the_embedded_server_is_as_it_should_be(home: Home, prefix: str) -> None:
    environ = {"CACHE_DRIVER": "embedded", "CACHE_EMBEDDED_DIR": str(home.base), "CACHE_PREFIX": prefix}
    report = examined(environ, workers=4)
    assert {finding.severity for finding in report.findings} == {Severity.OK}, report.findings
    assert report.exit_status == 0
    assert report.server is not None
    assert report.server["maxmemory_policy"] == "allkeys-lru"
    assert "128 MB of the embedded server" in one(report, Code.NEAR_MEMORY).message


def test_a_folder_that_cannot_be_had_is_told(home: Home, prefix: str) -> None:
    no_folder = home.base / "file"
    no_folder.touch()
    environ = {"CACHE_DRIVER": "embedded", "CACHE_EMBEDDED_DIR": str(no_folder), "CACHE_PREFIX": prefix}
    report = examined(environ)
    assert (one(report, Code.SERVER).severity, one(report, Code.SERVER).reason) == (
        Severity.PROBLEM,
        "embedded_folder",
    )
    assert one(report, Code.SERVER).action
    assert report.exit_status == 1
