"""The report of an examination: all findings, the exit status, and the JSON."""

from dataclasses import dataclass, field
from typing import Any

from .configuration import Row
from .finding import Code, Finding, Severity
from .key_report import KeyReport
from .latency import Latency
from .permissions import Checked

__all__ = ["SCHEMA", "Report"]

SCHEMA = 1
"""A release raises this number when a field of the JSON changes its meaning or goes, not for new fields or codes."""

FINE, TO_DO, WRONG = 0, 1, 2
_BAD = frozenset({Severity.WARNING, Severity.PROBLEM})


@dataclass(slots=True)
class Report:
    """All findings of one examination.

    Attributes:
        version: The version of this package.
        configuration: Each setting, its value and the value's source.
        findings: The findings, in the order of the checks.
        health: The health report of a cache with this configuration; ``None`` if no such cache could start.
        server: The server's own facts; ``None`` if the server was not reached, or there is none.
        permissions: Each permission that a cache needs, whether it is granted, and the line that grants it.
        acl_line: The line that makes a user with just these permissions.
        latency: The latency of round trips to the server.
        key: The report on the key that the user asked for.
        ignored: The checks that do not count for the exit status.
    """

    version: str
    configuration: list[Row]
    findings: list[Finding]
    health: dict[str, Any] | None = None
    server: dict[str, Any] | None = None
    permissions: list[Checked] = field(default_factory=list)
    acl_line: str | None = None
    latency: Latency | None = None
    key: KeyReport | None = None
    ignored: frozenset[Code] = frozenset()

    @property
    def exit_status(self) -> int:
        """0: nothing to do; 1: a warning or a problem; 2: the configuration is wrong, so no cache starts with it."""
        bad = [found for found in self.findings if found.severity in _BAD and found.code not in self.ignored]
        if any(finding.code is Code.CONFIGURATION for finding in bad):
            return WRONG
        return TO_DO if bad else FINE

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a dict, for JSON."""
        return {
            "schema": SCHEMA,
            "fleetcache": self.version,
            "exit_status": self.exit_status,
            "ignored": sorted(self.ignored),
            "configuration": [row.as_dict() for row in self.configuration],
            "findings": [finding.as_dict() for finding in self.findings],
            "health": self.health,
            "server": self.server,
            "permissions": [checked.as_dict() for checked in self.permissions],
            "acl_line": self.acl_line,
            "latency": None if self.latency is None else self.latency.as_dict(),
            "key": None if self.key is None else self.key.as_dict(),
        }
