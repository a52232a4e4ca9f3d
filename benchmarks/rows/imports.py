"""``import fleetcache`` in fresh interpreters, beside its dependencies; no other module comes with it."""

import asyncio
import json
import os
import sys
import tempfile

from benchmarks.figures import Effort, Figures, Row, middle

# The modules that an app with an asyncio server has loaded anyway, and our two dependencies.
BEFORE = "import asyncio, ssl, msgspec, hiredis"
OURS = frozenset({"fleetcache", "msgspec", "hiredis"})
MODULES = {
    "ours": "fleetcache",
    "cashews": "cashews",
    "aiocache": "aiocache",
    "redis-py": "redis.asyncio",
    "coredis": "coredis",
    "valkey-glide": "glide",
}

_CHILD = f"""
import json, sys, time
{BEFORE}
before = set(sys.modules)
began = time.perf_counter()
import {{module}}
took = time.perf_counter() - began
print(json.dumps([took * 1000, sorted({{{{name.partition(".")[0] for name in set(sys.modules) - before}}}})]))
"""


async def importing(_url: str, effort: Effort) -> Figures:
    """Milliseconds of the import in an interpreter that has the rest already."""
    took: dict[str, list[float]] = {name: [] for name in MODULES}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in MODULES:
            missing |= await _warm(name, folder)
        for _ in range(min(effort.rounds, 11)):
            for name in MODULES.keys() - missing.keys():
                milliseconds, brought = await _fresh(MODULES[name], folder)
                took[name].append(milliseconds)
                if name == "ours":
                    optional = set(brought) - OURS - sys.stdlib_module_names
                    assert not optional, f"import fleetcache also imports {', '.join(sorted(optional))}"
    figures = {name: middle(values) for name, values in took.items() if values}
    ours = figures.pop("ours")
    return Figures(ours, None, ours, {**missing, **figures})


async def _warm(name: str, folder: str) -> dict[str, str]:
    """Compile it once; return the reason if it cannot be imported."""
    try:
        await _fresh(MODULES[name], folder)
    except ImportError as error:
        if name == "ours":
            raise
        return {name: f"cannot be imported: {error}"}
    return {}


async def _fresh(module: str, folder: str) -> tuple[float, list[str]]:
    # The bytecode is made here, because the machine's own, of any version or missing, must not matter.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = folder
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _CHILD.format(module=module),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await child.communicate()
    if child.returncode:
        raise ImportError(complained.decode().strip().splitlines()[-1])
    milliseconds, brought = json.loads(said)
    return milliseconds, brought


ROWS = (Row("import", "`import fleetcache`, nothing optional with it", f"`{BEFORE}`", "ms", 30, importing, plain=True),)
