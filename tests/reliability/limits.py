"""What the promises allow, on this machine as busy as it is."""

import os
from dataclasses import dataclass

__all__ = ["Limits"]

MOST_LOAD = 4.0  # beyond it a timeout too many would be taken for the machine's fault
TIMEOUT = 0.25  # of one operation, in seconds: the default


@dataclass(frozen=True)
class Limits:
    """What the promises allow, in seconds.

    Attributes:
        call: One call.
        known: One call while the server is known to be out of reach.
        back: From the fault's end until all is well.
        doomed: The same where a person had to mend it.
    """

    call: float
    known: float
    back: float
    doomed: float

    @classmethod
    def now(cls, doomed: float = 12.0) -> "Limits":
        """For this machine as busy as it is: who has half a processor takes twice as long for what is ours."""
        load = min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), MOST_LOAD)
        late = 0.75 * (load - 1)  # TLS, the server's start and the handshake all wait for the processor
        # Known: far less than a timeout, so that no wait for the server hides in it; a hit takes microseconds.
        return cls(call=TIMEOUT + 0.05 * load, known=0.005 * load, back=2.0 + late, doomed=doomed + late)
