"""The model against measured points that its costs were not taken from."""

from collections.abc import Mapping

from benchmarks.scale.calibrate import calibrate, points
from benchmarks.scale.lab import Lab
from benchmarks.scale.scene import Bound, Scene

WRONG = "wrong by"


def predicted(lab: Lab) -> Mapping[str, float]:
    """Measure the costs on this machine, then compare each prediction with its point."""
    costs = calibrate(lab.engine)
    figures: dict[str, float] = {}
    worst_cpu = worst_sent = 0.0
    for number, point in enumerate(points(lab.engine), 1):
        cpu, sent = point.errors(costs)
        figures |= {f"{point.what}: CPU {WRONG}": cpu, f"bytes {WRONG} ({number})": sent}
        worst_cpu, worst_sent = max(worst_cpu, cpu), max(worst_sent, sent)
    limits = {
        "plain re-reads of a hot key a second that fill a core": 1e6 / (costs.push + costs.read),
        "waits for loads of a hot key a second that do": 1e6 / costs.wait,
    }
    return {f"server CPU {WRONG}": worst_cpu, f"network {WRONG}": worst_sent, **figures, **limits}


SCENES = (
    Scene(
        "predict",
        "the model, at four points of 100 to 3,000 instances",
        (Bound(f"server CPU {WRONG}", 0.2), Bound(f"network {WRONG}", 0.2)),
        predicted,
        patience=900,
    ),
)
