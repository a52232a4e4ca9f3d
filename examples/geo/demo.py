"""The demo: ``make demo``. Runs the scene, says what happens, and ends with what was promised and what was seen.

Ends with status 0 only if every promise held, 1 if one did not, 2 if the scene could not be set up.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, `examples` is not in sight

from examples.geo.addresses import from_file, zipf
from examples.geo.chapters import changed_setting, one_call_per_address, origin_without_calls
from examples.geo.outages import killed_under_load, old_snapshot
from examples.geo.processes import SceneError
from examples.geo.scene import SEED, Scene, end_politely_on_sigterm
from examples.geo.stage import Finding, Stage
from examples.geo.tables import findings_table, times_table
from examples.geo.traffic import Traffic

_REQUESTS = 3_000  # enough for round robin to bring the frequent addresses to all instances; some seconds
_ADDRESSES = 400  # that these requests are drawn from

_began = time.monotonic()


def say(line: str) -> None:
    """Print a line of the story with the seconds since the start."""
    print(f"[{time.monotonic() - _began:5.1f} s] {line}", flush=True)


async def tell(scene: Scene, requests: list[str]) -> Stage:
    """Run every chapter."""
    async with Traffic(scene.urls) as traffic:
        stage = Stage(scene, traffic, say)
        await one_call_per_address(stage, requests)
        await changed_setting(stage)
        await origin_without_calls(stage)
        await killed_under_load(stage)
        await old_snapshot(stage)
        return stage


def _requests(scene: Scene, trace: str | None, seed: int) -> list[str]:
    if not trace:
        say(f"addresses: a Zipf law over {_ADDRESSES} that the database knows, seed {seed}")
        return zipf(scene.new_addresses(_ADDRESSES), _REQUESTS, seed)
    requests = from_file(Path(trace))
    say(f"addresses: the first {min(_REQUESTS, len(requests)):,} of {len(requests):,} in {Path(trace).name}")
    return requests[:_REQUESTS]


def _run(trace: str | None, seed: int) -> bool:
    say("starting Valkey, the origin and three instances")
    with Scene(seed=seed) as scene:
        for name, instance in scene.instances.items():
            say(f"  instance {name}: {instance.url}, pid {instance.process.pid}")
        stage = asyncio.run(tell(scene, _requests(scene, trace, seed)))
        held = all(finding.held for finding in stage.findings)
        if not held:
            for process in scene.processes:
                say(f"last words of {process.name}:\n{process.last_words()}")
    print(f"\n{times_table(stage.timed)}\n\n{findings_table(stage.findings)}\n\n{_verdict(stage.findings)}")
    return held


def _verdict(findings: list[Finding]) -> str:
    failed = sum(not finding.held for finding in findings)
    took = f"{time.monotonic() - _began:.0f} s"
    return (
        f"{failed} of {len(findings)} promises FAILED ({took})"
        if failed
        else f"all {len(findings)} promises held ({took})"
    )


def main() -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(
        description="One cache for three instances of a server, and what happens when it dies."
    )
    parser.add_argument(
        "--trace", default=os.environ.get("FLEETCACHE_TRACE"), help="file of addresses, one a line, plain or gzip"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the addresses (default: %(default)s)")
    options = parser.parse_args()
    end_politely_on_sigterm()
    try:
        return 0 if _run(options.trace, options.seed) else 1
    except SceneError as error:
        print(f"the demo cannot run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
