"""One process of a fleet with a dogpile region: reads commands as lines of JSON, answers with lines of JSON.

Run it as ``python -m tests.frameworks.dogpile_worker VARIANT URL PREFIX FOLDER``. Each run of a creator leaves one byte
in the file of its key, which counts them for the whole fleet.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dogpile.cache import CacheRegion, make_region, register_backend

from fleetcache.contrib.dogpile import FleetBackend

THREADS = 8
LEASES = {"ours": "1s", "for_long": "30s", "alone": "1s"}


class LockedAlone(FleetBackend):
    """A backend without a mutex, as most are: dogpile takes a lock of the process."""

    def get_mutex(self, key: str) -> None:  # type: ignore[override] # noqa: ARG002 - dogpile allows none
        return None


register_backend("alone", __name__, "LockedAlone")  # type: ignore[no-untyped-call] # dogpile has no types there


def ask(region: CacheRegion, folder: Path, key: str, take: float = 0.0, expires: float = 60) -> dict[str, Any]:
    """Let all threads ask for a key at once; its creator takes ``take`` seconds."""

    def create() -> str:
        with (folder / key).open("ab", buffering=0) as file:
            file.write(b".")
        time.sleep(take)
        return f"value of {key}"

    values = list(POOL.map(lambda _: region.get_or_create(key, create, expires), range(THREADS)))
    return {"values": sorted(set(values)), "at": time.monotonic()}


def main(variant: str, url: str, prefix: str, folder: str) -> None:
    """Answer commands until the input ends."""
    region = make_region(serializer=lambda value: json.dumps(value).encode(), deserializer=json.loads).configure(
        "alone" if variant == "alone" else "fleetcache",
        arguments={"url": url, "prefix": prefix, "operation_timeout": "2s", "lease": LEASES[variant]},
    )
    say({"ready": True})
    while line := sys.stdin.readline():
        command = json.loads(line)
        assert command.pop("do") == "ask"
        say(ask(region, Path(folder), **command))


def say(answer: dict[str, Any]) -> None:
    """Write an answer as a line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


POOL = ThreadPoolExecutor(THREADS)

if __name__ == "__main__":
    main(*sys.argv[1:])
