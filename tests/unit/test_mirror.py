"""Tests mirror the source: each module of the core has a file here of its name, and each file here names a module.

The file of ``fleetcache/near/store.py`` is ``tests/unit/near/test_store.py``; a second file adds its subject, as
``test_store_threads.py``. Tests of a behaviour that no single module has stand in a folder named after the behaviour.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "src" / "fleetcache"
ROOMS = ("api", "config", "engine", "format", "near", "policy", "shared", "telemetry", "wire")
TOP = ("clock", "errors", "futures", "log")


def problems(modules: Iterable[str], tests: Iterable[str]) -> Iterator[str]:
    """Say which modules have no file of their name, and which files name no module."""
    modules, tests = set(modules), set(tests)
    named = set[str]()
    for test in sorted(tests):
        module = _module_of(test, modules)
        if module is not None:
            named.add(module)
        else:
            yield f"tests/unit/{test}.py names no module: rename it, or move it to the folder of what it proves"
    for module in sorted(modules - named):
        path = PurePosixPath(module)
        yield f"{module}.py has no test file of its name: write tests/unit/{path.with_name(f'test_{path.name}')}.py"


def _module_of(test: str, modules: set[str]) -> str | None:
    """Return the module with the longest name that the file begins with."""
    path = PurePosixPath(test)
    words = path.name.removeprefix("test_").split("_")
    for end in range(len(words), 0, -1):
        module = str(path.with_name("_".join(words[:end])))
        if module in modules:
            return module
    return None


def names_in(root: Path, pattern: str) -> Iterator[str]:
    """Return the files of the rooms, as ``near/store``."""
    for room in ROOMS:
        for path in (root / room).rglob(pattern):
            if path.stem != "__init__":
                yield path.relative_to(root).with_suffix("").as_posix()


def test_each_module_has_a_file_and_each_file_a_module() -> None:
    modules = [*names_in(PACKAGE, "*.py"), *TOP]
    tests = [*names_in(HERE, "test_*.py"), *(f"test_{name}" for name in TOP if (HERE / f"test_{name}.py").exists())]
    assert list(problems(modules, tests)) == []


def test_no_room_of_the_core_is_left_out() -> None:
    beside = {"cli", "contrib", "ops", "testing"}  # their tests stand in folders of these names, or in frameworks
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == {*ROOMS, *beside}
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*TOP, "__init__"}


@pytest.mark.parametrize(
    ("modules", "tests", "expected"),
    [
        (["near/store"], ["near/test_store"], []),
        (["near/store"], ["near/test_store", "near/test_store_threads"], []),
        (["near/store"], [], ["near/store.py has no test file of its name: write tests/unit/near/test_store.py"]),
        (
            ["near/store"],
            ["near/test_stores"],
            ["tests/unit/near/test_stores.py names no module", "near/store.py has no"],
        ),
        (
            ["near/store"],
            ["wire/test_store"],
            ["tests/unit/wire/test_store.py names no module", "near/store.py has no"],
        ),
        # The longest name counts: this is no file of ``batch``.
        (["policy/batch", "policy/batch_load"], ["policy/test_batch_load"], ["policy/batch.py has no test file"]),
        (["log"], ["test_log"], []),
    ],
)
def test_twin_a_gap_in_the_mirror_is_seen(modules: list[str], tests: list[str], expected: list[str]) -> None:
    found = list(problems(modules, tests))
    assert [said[: len(part)] for said, part in zip(found, expected, strict=True)] == expected
