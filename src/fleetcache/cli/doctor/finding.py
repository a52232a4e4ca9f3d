"""What one check found: a stable code, how bad it is, what it means and what to do about it."""

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Code", "Finding", "Severity"]


class Severity(StrEnum):
    """From harmless to bad. ``docs/doctor.md`` says which of them the exit status counts."""

    OK = "ok"  # looked at, and as it should be
    NOTE = "note"  # worth knowing; nothing has to be done
    WARNING = "warning"  # works with less, or at a risk: should be changed
    PROBLEM = "problem"  # does not work as asked for


class Code(StrEnum):
    """What was looked at. Stable: scripts may hold on to them."""

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
    """One thing found.

    Attributes:
        code: What was looked at.
        severity: How bad it is.
        message: What was found and what it means. Never holds a secret.
        action: What to do; empty when there is nothing to do.
        about: Which one, where there are several: a variable, a permission.
        reason: For ``server``, the code that the health report has for it.

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
        """For JSON: always all fields."""
        return asdict(self)
