"""The health report: its HTTP status, its brief form, and a sentence for each state."""

import json
from datetime import UTC, datetime

import pytest

from fleetcache.telemetry import health
from fleetcache.telemetry.health import Health, Status, wall_time


def report() -> Health:
    return Health(
        status=Status.DEGRADED,
        driver="redis",
        active="memory",
        shared=False,
        reason="refused",
        since="2026-01-01T00:00:00+00:00",
        impact="much",
        instance="host-1",
        fleetcache="1.0",
        server="redis://cache:6379",
        last_error="Connection refused",
    )


def test_a_probe_restarts_an_unhealthy_app_and_no_other() -> None:
    assert {status: status.http_status for status in Status} == {
        Status.HEALTHY: 200,
        Status.DEGRADED: 200,
        Status.UNHEALTHY: 503,
    }


def test_the_brief_form_names_no_server_and_no_error() -> None:
    assert report().brief() == {
        "status": "degraded",
        "driver": "redis",
        "active": "memory",
        "reason": "refused",
        "since": "2026-01-01T00:00:00+00:00",
    }


def test_the_whole_report_goes_through_json() -> None:
    whole = report().as_dict()
    assert json.loads(json.dumps(whole)) == whole
    assert whole["schema"] == health.SCHEMA


@pytest.mark.parametrize(
    ("ago", "expected"), [(0.0, "2026-01-02T00:00:00.000+00:00"), (90.5, "2026-01-01T23:58:29.500+00:00")]
)
def test_a_state_began_so_long_ago_on_the_wall_clock(ago: float, expected: str) -> None:
    assert wall_time(ago, lambda: datetime(2026, 1, 2, tzinfo=UTC)) == expected
