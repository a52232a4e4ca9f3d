"""The error for an embedded server that is not available, with a stable reason code for health and metrics."""

from typing import Literal

from ...errors import FleetcacheError

__all__ = ["EmbeddedError", "Reason"]

Reason = Literal["embedded_binary", "embedded_folder", "embedded_unsafe", "embedded_start", "timeout"]


class EmbeddedError(FleetcacheError, RuntimeError):
    """No embedded server is available. ``Cache`` never raises this error to its caller: it continues in memory.

    Attributes:
        reason: ``embedded_binary`` (no server is installed), ``embedded_folder`` (the server's folder cannot be made
            or written), ``embedded_unsafe`` (the folder could be another user's), ``embedded_start`` (the server ended
            as it started) or ``timeout`` (the start took too long).

    Example:
        >>> EmbeddedError("embedded_start", "the server ended at once").reason
        'embedded_start'
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
