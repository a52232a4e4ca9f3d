"""One report of the cache's health and the user's checks, brief or full."""

from collections.abc import Mapping
from typing import Any, Literal

from ..config.durations import config_error
from ..telemetry.health import Health, Status
from .checks import Result

__all__ = ["Detail", "check_detail", "joined", "overall"]

Detail = Literal["brief", "full"]


def check_detail(detail: object) -> bool:
    """Return True for the full report.

    Raises:
        ConfigError: ``detail`` is neither ``brief`` nor ``full``.
    """
    if detail not in ("brief", "full"):
        raise config_error("detail", detail, "is unknown", "brief, full")
    return detail == "full"


def overall(health: Health, results: Mapping[str, Result]) -> Status:
    """Return the worst status of the cache and the checks."""
    failed = [result for result in results.values() if not result.ok]
    if health.status is Status.UNHEALTHY or any(result.critical for result in failed):
        return Status.UNHEALTHY
    return Status.DEGRADED if failed else health.status


def joined(health: Health, results: Mapping[str, Result], *, full: bool) -> dict[str, Any]:
    """Return the report for JSON: ``status`` covers cache and checks; ``reason``, ``since`` and the rest the cache."""
    body = health.as_dict() if full else health.brief()
    body["status"] = overall(health, results)
    if results:
        body["checks"] = {name: result.as_dict(full=full) for name, result in results.items()}
    return body
