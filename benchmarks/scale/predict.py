"""Predicts what a fleet costs its server: ``python -m benchmarks.scale.predict``.

    python -m benchmarks.scale.predict --instances 1000                             # the fleet does nothing
    python -m benchmarks.scale.predict --instances 1000 --writes 5 --holders 1000   # a hot key, read again by all
    python -m benchmarks.scale.predict --instances 1000 --writes 5 --holders 1000 --loaded
    python -m benchmarks.scale.predict --calibrate --server redis                   # the costs on this machine

The costs are those of the machine in ``docs/scale.md``; ``--calibrate`` measures those of this machine first. The scene
``predict`` of ``make scale`` compares predictions with four demands that the costs were not taken from.
"""

import argparse
import json
from dataclasses import asdict

from benchmarks.scale.calibrate import calibrate
from benchmarks.scale.lab import lift_limit
from benchmarks.scale.model import REFERENCE, Demand, predict
from tests.support.engines import engines

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Print the prediction for the demand of the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale.predict", description="What a fleet costs its server.")
    parser.add_argument("--instances", type=int, default=1000, help="processes with a cache")
    parser.add_argument("--reads", type=float, default=0.0, help="shared reads of one instance a second")
    parser.add_argument("--writes", type=float, default=0.0, help="changes in the fleet a second")
    parser.add_argument("--holders", type=int, default=0, help="instances that hold a key that changes")
    parser.add_argument("--again", type=float, default=1.0, help="the share of them that read it again")
    parser.add_argument("--loaded", action="store_true", help="a change is a removal; one loads, the others wait")
    parser.add_argument("--value", type=int, default=100, help="bytes of a value")
    parser.add_argument("--calibrate", action="store_true", help="measure the costs on this machine first")
    parser.add_argument("--server", choices=engines(), default="valkey", help="the server for --calibrate")
    options = vars(parser.parse_args(arguments))
    costs, server = REFERENCE, options.pop("server")
    if options.pop("calibrate"):
        lift_limit()
        costs = calibrate(server)
    told = {"costs": asdict(costs), "demand": options, "prediction": predict(Demand(**options), costs).as_dict()}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
