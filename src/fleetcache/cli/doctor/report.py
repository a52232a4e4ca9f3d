"""The report of an examination: all findings and the exit status, as JSON and as text on the terminal.

The text has colours only on a terminal. A line is never broken, so that users can search for its words and paste them.
Text from outside (a server, a key) is shown without control characters that a terminal would obey.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape

from ...config.durations import format_duration
from ...format.keys import ALL_TAG, function_tag
from .configuration import Row
from .findings import Code, Finding, Severity
from .key_report import KeyReport
from .permissions import Checked
from .server import Latency

__all__ = ["SCHEMA", "Report", "as_json", "show"]

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


STYLES = {Severity.OK: "green", Severity.NOTE: "blue", Severity.WARNING: "yellow", Severity.PROBLEM: "bold red"}
VERDICTS = {0: "nothing to do", 1: "there is something to do", 2: "the configuration is wrong: no cache starts with it"}
STATES = {
    "none": "nothing is there",
    "fresh": "answered",
    "stale": "answered by get_or_set while it is loaded again",
    "spent": "too old to answer, kept so that a refresh under way can replace it",
    "held": "a caller loads it",
    "unusable": "not answered, loaded again",
    "foreign": "not written by fleetcache: replaced when it is a string, else left alone",
    "fault": "no answer",
}
WHYS = {
    "tags": "one of its tags is not current",
    "signature": "it is not signed by CACHE_SIGNING_KEY",
    "value": "its bytes are not what its codec writes",
    "size": "it is over CACHE_MAX_VALUE_BYTES",
    "format": "another release wrote it, in a format that this one does not read",
}

Line = tuple[str, tuple[str, ...]]
"""A style and the cells of a row."""


def as_json(report: Report) -> str:
    """Return the report as one JSON document in ASCII, so that every terminal and file can hold a server's text."""
    return json.dumps(report.as_dict(), indent=2)


def show(report: Report, console: Console | None = None) -> None:
    """Write a report for people.

    Args:
        report: The report.
        console: The console to write to; standard output by default.
    """
    # Emoji are off because a key may contain ":star:".
    to = console or Console(highlight=False, emoji=False)
    for line in _lines(report):
        to.print(line, soft_wrap=True)


def _lines(report: Report) -> Iterator[str]:
    yield f"[bold]fleetcache {report.version}, doctor[/bold]"
    yield ""
    yield from _columns(_configuration(report))
    yield ""
    for finding in report.findings:
        yield from _finding(finding, ignored=finding.code in report.ignored)
    if report.permissions:
        yield ""
        yield from _columns(_permissions(report))
        yield "The smallest user with which a cache is healthy:"
        yield f"  {_safe(report.acl_line or '')}"
    if report.key is not None:
        yield ""
        yield from _key(report.key)
    yield ""
    yield f"[bold]{VERDICTS[report.exit_status]}[/bold] (exit status {report.exit_status})"


def _safe(text_of_others: str) -> str:
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text_of_others)
    return escape(shown)


def _columns(lines: Iterable[Line]) -> Iterator[str]:
    """Yield rows whose cells stand below each other; the last cell of a row is not padded."""
    rows = list(lines)
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in rows), strict=True)]
    for style, cells in rows:
        *padded, last = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        line = "  ".join([*padded, last.rstrip()])
        yield f"[{style}]{_safe(line)}[/{style}]" if style else _safe(line)


def _configuration(report: Report) -> Iterator[Line]:
    yield "bold", ("variable", "value", "from")
    for row in report.configuration:
        yield {"default": "dim", "wrong": "bold red"}.get(row.source, ""), (row.variable, row.value, row.source)


def _finding(finding: Finding, *, ignored: bool) -> Iterator[str]:
    style = "dim" if ignored else STYLES[finding.severity]
    code = f"{finding.code.value} (ignored)" if ignored else finding.code.value
    yield f"[{style}]{finding.severity.value:8}[/{style}] {code}: {_safe(finding.message)}"
    if finding.action:
        yield f"         -> {_safe(finding.action)}"


def _permissions(report: Report) -> Iterator[Line]:
    yield "bold", ("permission", "granted", "granted by")
    for checked in report.permissions:
        missing, style = ("no (optional)", "blue") if checked.optional else ("no", "bold red")
        granted = checked.granted
        yield "" if granted else style, (checked.rule, "yes" if granted else missing, checked.grant)


def _key(report: KeyReport) -> Iterator[str]:
    yield f"[bold]key {_safe(report.key)}[/bold]"
    for name, value in _facts(report):
        yield f"  {name:14} {_safe(value)}"


def _facts(report: KeyReport) -> Iterator[tuple[str, str]]:
    yield "on the server", report.server_key
    why = f" ({WHYS.get(report.why, report.why)})" if report.why else ""
    yield "state", f"{report.state}: {STATES.get(report.state, '')}{why}"
    if report.fresh_for is not None:
        stale = f"; stale for {format_duration(report.stale_for)} after that" if report.stale_for else ""
        yield "fresh", f"{_left(report.fresh_for)}{stale}"
    if report.kept_for is not None:
        yield "kept", f"for {format_duration(report.kept_for)}"
    if report.held_for is not None:
        yield "being loaded", f"the right to it is held for {format_duration(report.held_for)} more"
    if report.size is not None:
        yield "size", f"{report.size:,} bytes"
    if report.codec is not None:
        yield "value", f"{report.payload:,} bytes of {report.codec}{', signed' if report.signed else ''}"
        yield "load", f"took {format_duration(report.load_seconds or 0.0)}"
    for tag in report.tags:
        yield "tag", f"{_tag(tag.name)}: {'current' if tag.current else 'not current, so the entry is not answered'}"
    yield "near", "each process has its own, and this one has just begun: in the app, await cache.explain(key)"


def _tag(name: str) -> str:
    """Return a tag for people; the cache's own tags begin with a star and are explained."""
    family = function_tag("")
    if name == ALL_TAG:
        return f"{name} (everything)"
    if name.startswith(family):
        return f"{name} (function {name.removeprefix(family)})"
    return f"{name} (namespace {name.removeprefix(ALL_TAG)})" if name.startswith(ALL_TAG) else name


def _left(seconds: float) -> str:
    return f"for {format_duration(seconds)}" if seconds > 0 else f"no more, since {format_duration(-seconds)}"
