"""The limits that the promises set, adapted to this machine's load."""

import os
from dataclasses import dataclass

__all__ = ["TIMEOUT", "Limits"]

MOST_LOAD = 4.0  # above it, a defect that costs a timeout would pass for a busy machine
TIMEOUT = 0.25  # of one operation, in seconds: the default


@dataclass(frozen=True)
class Limits:
    """The limits that the promises set, in seconds.

    Attributes:
        call: One call.
        load: One call that must load: while the server is only late, it waits for up to one more timeout.
        known: One call while the server is known to be out of reach.
        back: From the fault's end until the cache is healthy.
        doomed: The same after a fault that only a person can end.
    """

    call: float
    load: float
    known: float
    back: float
    doomed: float

    @classmethod
    def now(cls, doomed: float = 12.0) -> "Limits":
        """Return the limits at this machine's load: with half a processor, our own code takes twice as long."""
        load = min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), MOST_LOAD)
        late = 0.75 * (load - 1)  # TLS, the server's start and the handshake all wait for the processor
        # Known: far less than a timeout, so that no wait for the server fits in; a hit takes microseconds.
        call = TIMEOUT + 0.05 * load
        return cls(call=call, load=TIMEOUT + call, known=0.005 * load, back=2.0 + late, doomed=doomed + late)
