"""The effective configuration: each setting of the one table, its value and the value's source. Secrets stay hidden.

``read`` takes the variables that ``Settings.from_env`` takes, and reports every wrong variable, not only the first.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...config.durations import shown, text
from ...config.settings import VARIABLES, Settings, Variable, problems
from ...config.url import hidden
from .finding import Code, Finding, Severity

__all__ = ["Configuration", "Row", "read"]

ENVIRONMENT, DEFAULT, UNUSED, WRONG = "environment", "default", "unused", "wrong"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        variable: Its environment variable.
        value: The value as people write it; ``***`` stands for a secret.
        source: ``environment``, ``default``, ``unused`` (set, but another setting wins) or ``wrong``.
        meaning: The effect of the setting.
    """

    variable: str
    value: str
    source: str
    meaning: str

    def as_dict(self) -> dict[str, str]:
        """Return all fields as a dict, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration as read; ``settings`` is ``None`` if a cache would refuse to start with it."""

    rows: list[Row]
    findings: list[Finding]
    settings: Settings | None


def read(environ: Mapping[str, str]) -> Configuration:
    """Read the environment as a cache would; return each setting with its source, and the findings.

    Args:
        environ: The variables.

    Example:
        >>> [row.value for row in read({"CACHE_TTL": "90s"}).rows if row.variable == "CACHE_TTL"]
        ['1m30s']
    """
    given = {variable.env: environ.get(variable.env, "").strip() for variable in VARIABLES}
    errors = problems(environ)
    settings = None if errors else Settings.from_env(environ)
    wrong = {name for name, _ in errors}
    unused = _unused(given, settings)
    rows = [_row(variable, given[variable.env], wrong=variable.env in wrong, unused=unused) for variable in VARIABLES]
    action = "correct it: with this no cache starts"
    findings = [Finding(Code.CONFIGURATION, Severity.PROBLEM, error, action, about=name) for name, error in errors]
    fine = Finding(Code.CONFIGURATION, Severity.OK, f"settings given: {sum(map(bool, given.values()))}, all readable")
    return Configuration(rows, findings or [fine], settings)


def _unused(given: dict[str, str], settings: Settings | None) -> set[str]:
    """Return the URLs that are set and not used: the first of two wins, and a driver without a server takes none."""
    urls = [variable.env for variable in VARIABLES if variable.field == "url" and given[variable.env]]
    if settings is not None and settings.address is None:
        return set(urls)
    return set(urls[1:])


def _row(variable: Variable, value: str, *, wrong: bool, unused: set[str]) -> Row:
    if wrong:
        # The finding shows the wrong value, as far as the value cannot be a secret.
        return Row(variable.env, "***", WRONG, variable.meaning)
    source = UNUSED if variable.env in unused else ENVIRONMENT if value else DEFAULT
    return Row(variable.env, _written(variable, value or variable.default), source, variable.meaning)


def _written(variable: Variable, value: Any) -> str:
    if value is None or value == ():
        return "not set"
    if variable.kind == "keys":
        return f"*** ({len(variable.parse(value, name=variable.label))} of them)"
    if variable.kind == "url":
        return hidden(str(value))
    if variable.kind == "duration":
        return text(variable.parse(value, name=variable.label))
    if variable.kind == "boolean":
        return str(variable.parse(value, name=variable.label)).lower()
    return shown(value).strip("'")
