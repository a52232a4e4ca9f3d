"""One process of a user with an embedded cache: reads commands as lines of JSON, and answers each with one.

Run it as ``python -m tests.embedded.worker BASE LINGER``: the folder, and the time that a server outlives its users.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from fleetcache import Cache
from fleetcache.shared.embedded import launch


async def put(cache: Cache, key: str, value: str) -> bool:
    """Store a value, and return True if the server has it."""
    await cache.set(key, value, strict=True)
    return True


async def get(cache: Cache, key: str) -> Any:
    """Return the cache's value."""
    return await cache.get(key)


async def health(cache: Cache) -> dict[str, Any]:
    """Return the health report."""
    return (await cache.health()).as_dict()


async def leave(cache: Cache) -> bool:
    """Close the cache; the process goes on."""
    await cache.close()
    return True


async def main(cache: Cache, answers: int = 1) -> None:
    """Answer commands until the input ends."""
    loop = asyncio.get_running_loop()
    await cache.open()
    say(os.getpid(), answers)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        do = command.pop("do")
        if do == "fork":
            raise ForkError
        say(await globals()[do](cache, **command), answers)


class ForkError(Exception):
    """Ends the loop, so that the process can fork without one."""


def say(answer: Any, descriptor: int) -> None:
    """Write an answer as a line."""
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


def run(base: str, linger: str) -> None:
    """Run a worker. At ``fork`` the parent waits silently, and the child goes on with the same cache."""
    launch.LINGER = float(linger)
    cache = Cache("embedded://", embedded_dir=base, prefix="workers", operation_timeout="2s")
    try:
        asyncio.run(main(cache))
    except ForkError:
        if os.fork():
            signal.pause()
        else:
            asyncio.run(main(cache))


if __name__ == "__main__":
    run(*sys.argv[1:])
