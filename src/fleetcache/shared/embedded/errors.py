"""What keeps an embedded server from being there, as one error with a stable reason code for health and metrics."""

from typing import Literal

from ...errors import FleetcacheError

__all__ = ["EmbeddedError", "Reason"]

Reason = Literal["embedded_binary", "embedded_folder", "embedded_unsafe", "embedded_start", "timeout"]


class EmbeddedError(FleetcacheError, RuntimeError):
    """There is no embedded server, and why. With ``Cache`` it never reaches the caller: it goes on in memory.

    Attributes:
        reason: ``embedded_binary`` (no server is installed), ``embedded_folder`` (its folder cannot be made or
            written), ``embedded_unsafe`` (its folder could be another user's), ``embedded_start`` (it ended as it
            started) or ``timeout`` (it took too long).

    Example:
        >>> EmbeddedError("embedded_start", "the server ended at once").reason
        'embedded_start'
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
