"""Runs one target, or each in turn, for a given time: ``python -m tests.fuzz.run session --seconds 120``.

With atheris installed, it follows the branches that an input takes; else it changes inputs at random. A failing input
is written to a file, and ``--input FILE`` runs it again.
"""

import argparse
import hashlib
import importlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.bounds import bounded

__all__ = ["TARGETS", "load", "main"]

HERE = Path(__file__).parent
TARGETS = tuple(sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py")))
MAX_LENGTH = 4096  # bytes of an input: enough decisions for each target
KEPT = 500  # inputs to go on from, without atheris, which would choose them


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def load(target: str) -> Any:
    """Return the target's module: ``one_input`` and ``SEEDS``. Nothing of fleetcache is imported before."""
    return importlib.import_module(f"tests.fuzz.fuzz_{target}")


def main() -> int:
    """Run the targets of the command line; return 1 if an input failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzzes what reads foreign bytes.")
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=60, help="how long, in all (60)")
    parser.add_argument("--engine", choices=["auto", "atheris", "random"], default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of chance, where that is the engine (0)")
    parser.add_argument("--input", type=Path, help="run the input in this file, once")
    parser.add_argument("--keep", type=Path, default=Path(), help="where to write an input that fails")
    options = parser.parse_args()
    found = importlib.util.find_spec("atheris") is not None
    if options.engine == "atheris" and not found:
        parser.error("atheris is not installed: .venv/bin/pip install atheris (it has wheels for few platforms)")
    if options.input is not None:
        tracemalloc.start()
        bounded(load(options.target).one_input, options.input.read_bytes())
        _say("nothing found")
        return 0
    guided = options.engine != "random" and found
    if not guided:
        _say("without atheris: inputs are changed at random, which finds less" if not found else "at random")
    targets = TARGETS if options.target == "all" else (options.target,)
    failed = [target for target in targets if not _run(target, options, options.seconds / len(targets), guided=guided)]
    _say(f"failed: {', '.join(failed)}" if failed else f"nothing found in {', '.join(targets)}")
    return 1 if failed else 0


def _run(target: str, options: argparse.Namespace, seconds: float, *, guided: bool) -> bool:
    """Run a process for each target: a crash of the parser is a finding, too, and must not end the other targets."""
    function = "_guided" if guided else "_at_random"
    call = (
        f"from tests.fuzz import run; run.{function}({target!r}, {seconds!r}, {options.seed!r}, {str(options.keep)!r})"
    )
    return subprocess.run([sys.executable, "-c", call], check=False, cwd=HERE.parents[1]).returncode == 0  # noqa: S603 - ourselves


def _guided(target: str, seconds: float, seed: int, keep: str) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["fleetcache"]):
        module = load(target)
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(module.SEEDS):
            (Path(corpus) / str(number)).write_bytes(data)
        arguments = [
            f"-max_total_time={max(1, round(seconds))}",
            f"-max_len={MAX_LENGTH}",
            "-timeout=20",
            "-rss_limit_mb=2048",
        ]
        arguments += [
            f"-artifact_prefix={Path(keep) / target}-",
            f"-seed={seed + 1}",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.Setup([target, *arguments, corpus], lambda data: bounded(module.one_input, data))
        atheris.Fuzz()


def _at_random(target: str, seconds: float, seed: int, keep: str) -> None:
    module = load(target)
    chance = random.Random(f"{target} {seed}")
    known = [*module.SEEDS, b""]
    tracemalloc.start()
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = _changed(chance, known)
        _try(module.one_input, target, data, Path(keep))
        count += 1
        if len(known) < KEPT:
            known.append(data)
        else:
            known[chance.randrange(len(module.SEEDS), KEPT)] = data
    _say(f"{target}: {count} inputs, {count / max(seconds, 0.001):.0f} a second")


def _changed(chance: random.Random, known: list[bytes]) -> bytes:
    if chance.random() < 0.2:
        return chance.randbytes(chance.choice((10, 100, 1000)))
    data = bytearray(chance.choice(known))
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(data))
        way = chance.randrange(4)
        if way == 0:
            data[at : at + 1] = chance.randbytes(1)
        elif way == 1:
            data[at:at] = chance.randbytes(chance.randint(1, 16))
        elif way == 2:
            del data[at : at + chance.randint(1, 16)]
        else:
            other = chance.choice(known)
            data[at:] = other[chance.randint(0, len(other)) :]
    return bytes(data[:MAX_LENGTH])


def _try(one_input: Callable[[bytes], None], target: str, data: bytes, keep: Path) -> None:
    try:
        bounded(one_input, data)
    except BaseException:
        path = keep / f"{target}-crash-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        _say(f"{target}: failed; the input is in {path}")
        raise


if __name__ == "__main__":
    sys.exit(main())
