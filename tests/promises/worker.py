"""One process of a fleet: reads commands as lines of JSON, asks its cache, answers with lines of JSON.

Run it as ``python -m tests.promises.worker VARIANT URL PREFIX FOLDER``. Each run of a loader leaves one byte in the
file of its key, which counts them for the whole fleet.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from fleetcache import Cache
from tests.promises import variants
from tests.support.loops import use_loop


async def ask(cache: Cache, folder: Path, key: str, callers: int = 1, take: float = 0.0) -> dict[str, Any]:
    """Ask for a key by this many callers at once; the loader takes ``take`` seconds."""

    async def load() -> str:
        with (folder / key).open("ab", buffering=0) as file:
            file.write(b".")
        await asyncio.sleep(take)
        return f"value of {key}"

    values = await asyncio.gather(*(cache.get_or_set(key, load) for _ in range(callers)))
    return {"values": sorted(set(values)), "at": time.monotonic(), "pid": os.getpid()}


async def clear(cache: Cache, _folder: Path) -> dict[str, Any]:
    """Remove everything; answer after the server's acknowledgement."""
    await cache.clear(strict=True)
    return {}


async def main(variant: str, url: str, prefix: str, folder: str) -> None:
    """Answer commands until the input ends."""
    loop = asyncio.get_running_loop()
    async with getattr(variants, variant)(url, prefix=prefix, operation_timeout="5s") as cache:
        say({"ready": True})
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            say(await globals()[command.pop("do")](cache, Path(folder), **command))


def say(answer: dict[str, Any]) -> None:
    """Write an answer as a line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    use_loop()
    asyncio.run(main(*sys.argv[1:]))
