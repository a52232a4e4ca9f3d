"""The time of round trips to the server, one after the other, as a lone caller would see it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil

from ...config.durations import text
from .finding import Code, Finding, Severity
from .visit import Visit

__all__ = ["Latency", "finding_on", "measure"]

# Enough trips to see the slowest in a hundred; over a slow network, as many as fit into the time.
TRIPS, SECONDS = 100, 2.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Round trips in seconds."""

    trips: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, took: list[float]) -> "Latency":
        """Return the latency of one or more measured round trips.

        Example:
            >>> Latency.of([0.001, 0.002, 0.003]).p50
            0.002
        """
        ordered = sorted(took)

        def at(share: float) -> float:
            return ordered[ceil(share * len(ordered)) - 1]

        return cls(len(ordered), at(0.5), at(0.99), ordered[-1])

    def as_dict(self) -> dict[str, float]:
        """Return all fields as a dict, for JSON."""
        return {name: value if name == "trips" else round(value, 6) for name, value in asdict(self).items()}


async def measure(visit: Visit, key: bytes, clock: Callable[[], float]) -> Latency:
    """Ask for one key again and again, and return the latency. A refusal takes as long as a reply, so it counts, too.

    Args:
        visit: The connection to the server.
        key: The key to ask for.
        clock: Returns seconds.
    """
    took: list[float] = []
    began = clock()
    while len(took) < TRIPS and clock() - began < SECONDS:
        sent = clock()
        await visit.ask(("GET", key))
        took.append(clock() - sent)
    return Latency.of(took)


def finding_on(latency: Latency, operation_timeout: float) -> Finding:
    """Compare the latency with the timeout of one operation: a slower reply counts as no answer."""
    said = (
        f"{latency.trips} round trips: p50 {text(latency.p50)}, p99 {text(latency.p99)}, longest {text(latency.most)}"
    )
    bound = f"CACHE_OPERATION_TIMEOUT is {text(operation_timeout)}"
    action = "a server nearer to the app or with less load; else a longer CACHE_OPERATION_TIMEOUT"
    if latency.p99 >= operation_timeout:
        message = f"{said}; {bound}: such calls count as unanswered"
        return Finding(Code.LATENCY, Severity.PROBLEM, message, action)
    if latency.p99 >= operation_timeout / 2:
        message = f"{said}; {bound}: a little more load, and calls count as unanswered"
        return Finding(Code.LATENCY, Severity.WARNING, message, action)
    return Finding(Code.LATENCY, Severity.OK, f"{said}; {bound}")
