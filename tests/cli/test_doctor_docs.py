"""The page on the doctor: its tables equal the code, and its examples equal the real output."""

import re
from dataclasses import fields
from pathlib import Path

from fleetcache.cli.doctor.configuration import Row
from fleetcache.cli.doctor.findings import REASONS, Code, Finding, Severity
from fleetcache.cli.doctor.permissions import PERMISSIONS, Checked
from fleetcache.cli.doctor.report import Report
from tests.cli.examining import examined
from tests.conftest import GetServer

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "doctor.md").read_text(encoding="utf-8")


def section(title: str, page: str = PAGE) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str, page: str = PAGE) -> list[tuple[str, ...]]:
    return [tuple(cell.strip() for cell in line.split(" | ")) for line in _table(section(title, page))]


def _table(text: str) -> list[str]:
    return [line.strip("| ") for line in text.splitlines() if line.startswith("| `")]


def test_every_code_is_in_the_table_and_no_other() -> None:
    assert [code.strip("`") for code, _ in rows("Checks")] == list(Code)
    assert f"`{' '.join(Severity)}`" in section("Checks")


def test_every_field_of_the_json_is_in_the_table() -> None:
    table = section("JSON")
    assert {name for cells in rows("JSON") for name in re.findall(r"`(\w+)`", cells[0])} == set(
        Report("1", [], []).as_dict()
    )
    for kind in (Row, Finding, Checked):
        assert f"`{' '.join(field.name for field in fields(kind))}`" in table


def test_the_optional_permissions_are_those_of_the_table() -> None:
    for permission in PERMISSIONS:
        assert (f"`{permission.rule}`" in section("Permissions")) == permission.optional


def test_each_reason_says_the_same_as_the_page_on_health() -> None:
    said = {row[0].strip("`"): row[1:] for row in rows("Reasons", (DOCS / "health.md").read_text(encoding="utf-8"))}
    assert said == REASONS


def test_the_findings_shown_are_what_is_said(shared_servers: GetServer, tmp_path: Path) -> None:
    shown = re.findall(r"^(ok|note|warning|problem) +(\w+): (.*)$", PAGE, re.MULTILINE)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("512000000\n")
    environ = {"REDIS_URL": shared_servers("valkey", "tcp").url, "CACHE_TTLS": "1m"}
    report = examined(environ, workers=4, root=tmp_path)
    assert [(severity, code) for severity, code, _ in shown] == [(f.severity, f.code) for f in report.findings]
    for (_, code, message), finding in zip(shown, report.findings, strict=True):
        if code not in ("configuration", "server", "version", "connections", "latency"):  # these name the machine
            assert message == finding.message
