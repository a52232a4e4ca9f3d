"""A small model: what a fleet of N instances costs its server, in CPU and bytes, and how long it takes to come back.

All costs are linear. Each is measured in a scene of its own (``calibrate.py``), because each machine has its own.

1. An instance that does nothing costs its heartbeats.
2. A shared read costs a round trip, and its value by the kilobyte.
3. A write costs one push for each instance that holds the key, and a shared read for each that asks again.
4. A change that is loaded anew costs more for each instance that waits for the load.
5. A restart costs one handshake for each instance, and the server's turns in which they come. They come within the
   longest pause of the backoff, if the server can do that many in this time.
"""

from dataclasses import asdict, dataclass

__all__ = ["REFERENCE", "Costs", "Demand", "Prediction", "predict"]

LONGEST_PAUSE = 1.0  # seconds: ``Link.MAX_BACKOFF``


@dataclass(frozen=True)
class Costs:
    """Costs of one event: microseconds of server CPU, and bytes that the server sends.

    Attributes:
        beat: A heartbeat.
        push: An invalidation.
        read: A shared read of a small value, by an instance that waits for it.
        kilobyte: Each 1,000 bytes of a value that is read.
        wait: An instance that waits for another's load and then reads its value.
        handshake: A new connection.
        restart: The turns of a server that waits for its fleet.
    """

    beat: float
    push: float
    read: float
    kilobyte: float
    wait: float
    handshake: float
    restart: float
    beat_bytes: float
    push_bytes: float
    read_bytes: float
    wait_bytes: float
    handshake_bytes: float


@dataclass(frozen=True)
class Demand:
    """What a fleet does.

    Attributes:
        instances: The processes with a cache.
        reads: Shared reads of one instance a second: those that its near cache does not answer.
        writes: Changes in the whole fleet a second.
        holders: Instances whose near cache holds the key that changes.
        again: The share of them that read it again before the next change.
        loaded: Whether a change is a removal, and one instance then loads while the others wait.
        value: Bytes of a value.
        beats: Heartbeats of one instance a second: three in each ``CACHE_MAX_STALENESS``.
    """

    instances: int
    reads: float = 0.0
    writes: float = 0.0
    holders: int = 0
    again: float = 1.0
    loaded: bool = False
    value: int = 100
    beats: float = 1.5


@dataclass(frozen=True)
class Prediction:
    """What this costs.

    Attributes:
        cpu: The share of one core of the server.
        sent: Bytes a second to clients.
        recovery_cpu: Seconds of server CPU until a restarted server has its fleet back.
        recovery: The least seconds until then; clients and network only add.
        most_writes: Changes a second, each of them with so many holders, that fill the core.
    """

    cpu: float
    sent: float
    recovery_cpu: float
    recovery: float
    most_writes: float

    def as_dict(self) -> dict[str, float]:
        """Return all fields."""
        return asdict(self)


# Valkey 9.1 on one core of a shared virtual machine: `python -m benchmarks.scale.predict --calibrate`.
REFERENCE = Costs(
    beat=16.5,
    push=7.1,
    read=9.5,
    kilobyte=0.08,
    wait=59.0,
    handshake=81.0,
    restart=6_000.0,
    beat_bytes=413.0,
    push_bytes=61.0,
    read_bytes=31.0,
    wait_bytes=272.0,
    handshake_bytes=3666.0,
)


def predict(demand: Demand, costs: Costs = REFERENCE) -> Prediction:
    """Return the costs of a demand.

    Example:
        >>> predict(Demand(instances=1000)).cpu < 0.1
        True
    """
    kilobytes = demand.value / 1000
    read = costs.read + kilobytes * costs.kilobyte
    read_bytes = costs.read_bytes + demand.value
    again = demand.holders * demand.again
    if demand.loaded:
        change = again * (costs.wait + kilobytes * costs.kilobyte)
        change_bytes = again * (costs.wait_bytes + demand.value)
    else:
        change = demand.holders * costs.push + again * read
        change_bytes = demand.holders * costs.push_bytes + again * read_bytes
    reads = demand.instances * demand.reads
    beats = demand.instances * demand.beats
    micros = beats * costs.beat + reads * read + demand.writes * change
    handshakes = (costs.restart + demand.instances * costs.handshake) / 1e6
    return Prediction(
        cpu=micros / 1e6,
        sent=beats * costs.beat_bytes + reads * read_bytes + demand.writes * change_bytes,
        recovery_cpu=handshakes,
        recovery=max(LONGEST_PAUSE, handshakes),
        most_writes=1e6 / change if change else float("inf"),
    )
