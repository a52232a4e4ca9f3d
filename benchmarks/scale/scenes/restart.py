"""The server restarts, and its whole fleet comes back at once."""

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.scale.bare import Crowds
from benchmarks.scale.lab import Lab
from benchmarks.scale.scene import Bound, Scene

SIZE = 10_000
CALM = 2_000  # handshakes that are measured one after the other
AT_ONCE = 20
AWAY = 2.0  # seconds: by then the pauses between attempts are as long as they get
# Heartbeats would count as work of the handshakes.
SETTINGS: dict[str, Any] = {"max_staleness": "60s"}


def restart(lab: Lab) -> Mapping[str, float]:
    """Measure a handshake in calm, then restart the server under the fleet."""
    server = lab.server()
    fleet = Crowds(lab, server.url, SIZE, **SETTINGS)
    with lab.spent(server) as calm:
        for begun in range(AT_ONCE, CALM + 1, AT_ONCE):
            fleet.begin(AT_ONCE)
            fleet.until_online(begun)
    for begun in range(CALM + 500, SIZE + 1, 500):
        fleet.begin(500)
        fleet.until_online(begun)
    with lab.spent(server) as spent:
        server.kill()
        time.sleep(AWAY)
        server.restart()
        took = fleet.until_online()
    handshake = calm.cpu / CALM
    return {
        "connections each": spent.connections / SIZE,
        "server CPU, by that of the handshakes": spent.cpu / (handshake * SIZE),
        "a handshake in calm, µs of server CPU": handshake * 1e6,
        "the same after the restart": spent.cpu / SIZE * 1e6,
        "bytes from each": spent.received / SIZE,
        "commands of each": spent.calls / SIZE,
        "all online after, s": took,
    }


SCENES = (
    Scene(
        "restart",
        f"{SIZE:,} instances, their server restarts",
        (Bound("connections each", 1.3), Bound("server CPU, by that of the handshakes", 2.0)),
        restart,
        patience=600,
    ),
)
