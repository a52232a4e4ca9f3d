"""Examinations for the tests of ``fleetcache doctor``: run on a machine that is made up, but for the server."""

from pathlib import Path
from typing import Any

from fleetcache.cli.doctor.examination import examine
from fleetcache.cli.doctor.findings import Code, Finding
from fleetcache.cli.doctor.report import Report
from tests.support.run import run

__all__ = ["NOWHERE", "examined", "found", "one"]

NOWHERE = Path("/nowhere")


def examined(environ: dict[str, str], **options: Any) -> Report:
    """The report on an environment. A machine that is busy with other tests is no slow server."""
    unhurried = {"CACHE_OPERATION_TIMEOUT": "5s", "CACHE_CONNECT_TIMEOUT": "10s"}
    return run(examine(unhurried | environ, **({"root": NOWHERE} | options)))


def found(report: Report, code: Code) -> list[Finding]:
    """The findings of one kind."""
    return [finding for finding in report.findings if finding.code is code]


def one(report: Report, code: Code) -> Finding:
    """The only finding of its kind."""
    (finding,) = found(report, code)
    return finding
