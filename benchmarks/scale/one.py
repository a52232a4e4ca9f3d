"""Plays one scene in this process and prints its figures as JSON: ``python -m benchmarks.scale.one NAME valkey``."""

import json
import logging
import sys

from benchmarks.scale.lab import Lab, lift_limit
from benchmarks.scale.table import scenes

__all__ = ["main"]


def main(name: str, engine: str) -> None:
    """Play the scene on a server of this engine."""
    logging.getLogger().addHandler(logging.NullHandler())  # outages are announced, and expected here
    lift_limit()
    with Lab(engine) as lab:
        figures = scenes()[name].measure(lab)
    print(json.dumps(dict(figures)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
