"""Loads of the origin for one cold key that a whole fleet asks for at the same moment."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figures import NOTHING, Effort, Figures, Row
from benchmarks.peers import why

PROCESSES, CALLERS = 4, 250

_ROOT = Path(__file__).parents[2]
_PATIENCE = 60  # seconds until a process counts as stuck


async def cold_key(url: str, effort: Effort) -> Figures:
    """The most loads that one of several cold keys took."""
    found: dict[str, float | str] = {}
    for library in ("ours", "cashews", "aiocache"):
        try:
            found[library] = await _most_loads(library, url, keys=1 if effort.quick else 5)
        except (OSError, RuntimeError) as error:
            if library == "ours":
                raise
            found[library] = why(error)
    ours = found.pop("ours")
    assert isinstance(ours, float)
    return Figures(ours, None, ours, found)


async def _most_loads(library: str, url: str, keys: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            workers = [await _started(library, url, folder, stack) for _ in range(PROCESSES)]
            await asyncio.gather(*(_hear(worker, "ready") for worker in workers))
            for number in range(keys):
                for worker in workers:
                    assert worker.stdin is not None
                    worker.stdin.write(f"key{number}\n".encode())
                await asyncio.gather(*(_hear(worker, "done") for worker in workers))
        return float(max((Path(folder) / f"key{number}").stat().st_size for number in range(keys)))


async def _started(library: str, url: str, folder: str, stack: AsyncExitStack) -> Process:
    command = (sys.executable, "-m", "benchmarks.load_worker", library, url, folder, str(CALLERS))
    worker = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    stack.push_async_callback(_ended, worker)
    return worker


async def _hear(worker: Process, word: str) -> None:
    assert worker.stdout is not None
    assert worker.stderr is not None
    async with asyncio.timeout(_PATIENCE):
        said = (await worker.stdout.readline()).decode().strip()
        if said != word:
            complained = (await worker.stderr.read()).decode().strip().splitlines() or [f"said {said!r}"]
            raise RuntimeError(complained[-1])


async def _ended(worker: Process) -> None:
    if worker.returncode is None:
        worker.kill()
    await worker.wait()


ROWS = (
    Row(
        "loads",
        f"origin loads for one cold key, {PROCESSES} processes with {CALLERS} callers each",
        NOTHING,
        "load",
        1,
        cold_key,
        plain=True,
    ),
)
