"""The finding of one check: a stable code, a severity, the meaning and the action to take."""

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Code", "Finding", "Severity"]


class Severity(StrEnum):
    """The severity of a finding, from harmless to bad. ``docs/doctor.md`` lists those that the exit status counts."""

    OK = "ok"  # checked, and as it should be
    NOTE = "note"  # worth knowing; needs no action
    WARNING = "warning"  # works with less, or at a risk: should be changed
    PROBLEM = "problem"  # does not work as configured


class Code(StrEnum):
    """The check that made a finding. The codes are stable: scripts may rely on them."""

    CONFIGURATION = "configuration"
    NEAR_MISS = "near_miss"
    UNKNOWN_NAME = "unknown_name"
    DRIVER = "driver"
    UNUSED_URL = "unused_url"
    DOUBTFUL = "doubtful"
    PREFIX = "prefix"
    NEAR_MEMORY = "near_memory"
    DATABASE = "database"
    TLS = "tls"
    PICKLE = "pickle"
    SERVER = "server"
    VERSION = "version"
    TRACKING = "tracking"
    CLUSTER = "cluster"
    PERMISSION = "permission"
    KEYS = "keys"
    INFO = "info"
    MAXMEMORY = "maxmemory"
    PERSISTENCE = "persistence"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        code: The check that made the finding.
        severity: The severity.
        message: The fact and its meaning. Never holds a secret.
        action: The action to take; empty if none is needed.
        about: The object of the finding if the check has several: a variable, a permission.
        reason: For ``server``, the reason in the health report.

    Example:
        >>> print(Finding(Code.LATENCY, Severity.OK, "50 round trips").as_dict()["code"])
        latency
    """

    code: Code
    severity: Severity
    message: str
    action: str = ""
    about: str = ""
    reason: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return all fields as a dict, for JSON; none is ever left out."""
        return asdict(self)
