"""Plays the bad days of a large fleet and compares their figures with their bounds: ``make scale``.

    python -m benchmarks.scale                     # all scenes on both servers; some minutes
    python -m benchmarks.scale --only maxclients   # one scene; may be given several times
    python -m benchmarks.scale --server redis      # one server
    python -m benchmarks.scale --list              # the names of the scenes
    python -m benchmarks.scale --json              # the same for machines
    python -m benchmarks.scale --write             # and put the lines into docs/scale.md

Ends with 1 when a scene missed a bound or failed. ``scene.py`` tells how to add a scene.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.scale.scene import Result, Scene
from benchmarks.scale.table import as_json, as_table, rewrite, scenes
from tests.support.engines import engines

__all__ = ["main", "played"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "scale.md"


def played(scene: Scene, engine: str) -> Result:
    """Play one scene in a process of its own. Its error is its result."""
    command = [sys.executable, "-m", "benchmarks.scale.one", scene.name, engine]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=scene.patience, check=False
        )
    except subprocess.TimeoutExpired:
        return Result(scene, engine, {}, f"no figures within {scene.patience:g} s")
    if done.returncode:
        return Result(scene, engine, {}, f"the scene ended with {done.returncode}; its error is above")
    return Result(scene, engine, json.loads(done.stdout.splitlines()[-1]))


def main(arguments: list[str] | None = None) -> int:
    """Play the scenes of the command line."""
    found, here = scenes(), engines()
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description="The bad days of a large fleet.")
    parser.add_argument("--only", action="append", choices=found, metavar="SCENE", help=f"one of {', '.join(found)}")
    parser.add_argument("--server", action="append", choices=here, help="by default each that is installed")
    parser.add_argument("--list", action="store_true", help="print the names of the scenes")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--write", action="store_true", help="also put the lines into docs/scale.md")
    options = parser.parse_args(arguments)
    if options.write and (options.server or set(here) != {"valkey", "redis"}):
        parser.error("--write needs both servers")
    if options.list:
        print("\n".join(found))
        return 0
    results = []
    for name in options.only or found:
        for engine in options.server or here:
            print(f"{name}, {engine} ...", file=sys.stderr, flush=True)
            results.append(played(found[name], engine))
    print(as_json(results) if options.json else as_table(results))
    if options.write:
        rewrite(PAGE, results)
    return int(not all(result.holds for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
