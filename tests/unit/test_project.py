"""The repository is fit for everybody: it names no machine, and its lock files fit the project's requirements."""

import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Spelled with a class of one letter each, so that they do not find themselves.
REGISTRIES = r"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(org|com)|de[b]\.debian\.org"
INDEX_OPTIONS = r"--(extra-)?inde[x]-url\b|--find-link[s]\b|--trusted-hos[t]\b"
HOMES = r"/hom[e]/\w|/User[s]/\w|/roo[t]/|[A-Z]:\\User[s]\\"


def project_files() -> list[Path]:
    """Return the files that git tracks or would track; without git, all files that are not hidden."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603 - fixed
        found = [ROOT / name for name in listed.split("\0") if name]
    else:
        found = [
            path for path in ROOT.rglob("*") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
        ]
    return [path for path in found if path.is_file()]


def machine_traces(text: str, *, checkout: Path) -> Iterator[str]:
    """Yield lines that only make sense on one machine, or that name a source of packages."""
    patterns = [REGISTRIES, HOMES]
    if len(checkout.parts) > 2:  # a short one, say "/app", is a word that others may use
        patterns.append(re.escape(str(checkout)) + r"(?!\w)")
    forbidden = re.compile("|".join(patterns))
    return (line.strip() for line in text.splitlines() if forbidden.search(line))


def test_no_file_names_a_registry_or_a_path_of_this_machine() -> None:
    traces = [
        f"{path.relative_to(ROOT)}: {line[:200]}"
        for path in project_files()
        for line in machine_traces(path.read_text(errors="replace"), checkout=ROOT)
    ]
    assert traces == []


@pytest.mark.parametrize(
    "line",
    [
        "https://py" + "pi.org/simple",
        "url = https://files.python" + "hosted.org/x.whl",
        "cd /ho" + "me/somebody",
        "/src/checkout/tests",
    ],
)
def test_traces_are_seen(line: str) -> None:
    assert list(machine_traces(line, checkout=Path("/src/checkout"))) == [line]


def pinned(lock: str) -> dict[str, list[Requirement]]:
    """Return the requirements of a lock file by name; a name has several if markers tell them apart."""
    found: dict[str, list[Requirement]] = {}
    for entry in lock.replace("\\\n", " ").splitlines():
        if entry and not entry.startswith(("#", " ")):
            requirement = Requirement(entry.partition("--hash")[0])
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def unmet(wanted: Iterable[str], lock: str) -> list[str]:
    """Return the requirements of ``wanted`` that the lock does not pin to a fitting version."""
    pins = pinned(lock)

    def met(requirement: Requirement) -> bool:
        candidates = pins.get(canonicalize_name(requirement.name), [])
        versions = [specifier.version for pin in candidates for specifier in pin.specifier]
        return bool(versions) and all(requirement.specifier.contains(version, prereleases=True) for version in versions)

    return [text for text in wanted if not met(Requirement(text))]


def wanted_for_development() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"], *chain(*extras.values())]
    return [text for text in asked if Requirement(text).name != "fleetcache"]


def wanted_for_the_demo() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["dependency-groups"]["demo"], *chain(*(extras[name] for name in ("cli", "embedded", "ops")))]
    return [*PROJECT["project"]["dependencies"], *asked]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements-dev.txt", wanted_for_development()),
        ("requirements-bench.txt", PROJECT["dependency-groups"]["bench"]),
        ("requirements-demo.txt", wanted_for_the_demo()),
    ],
)
def test_lock_pins_everything_by_hash_and_is_up_to_date(lock: str, wanted: list[str]) -> None:
    text = (ROOT / lock).read_text()
    assert unmet(wanted, text) == [], "run `make lock`"
    entries = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert re.findall(INDEX_OPTIONS, text) == []


def test_a_lock_that_is_out_of_date_is_seen() -> None:
    lock = "pytest==8.4.0 \\\n    --hash=sha256:00\n"
    assert unmet(["pytest>=8", "pytest>=9", "rich"], lock) == ["pytest>=9", "rich"]


def test_the_demo_is_locked_as_it_is_developed() -> None:
    developed = pinned((ROOT / "requirements-dev.txt").read_text())
    for name, pins in pinned((ROOT / "requirements-demo.txt").read_text()).items():
        assert {str(pin.specifier) for pin in pins} <= {str(pin.specifier) for pin in developed[name]}, name


def test_the_core_has_two_dependencies() -> None:
    assert {Requirement(text).name for text in PROJECT["project"]["dependencies"]} == {"hiredis", "msgspec"}


def test_the_extra_all_leaves_out_frameworks_the_example_and_what_has_no_wheel_everywhere() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    frameworks = {"cachelib", "django", "dogpile", "fastapi", "flask", "litestar"}
    assert [Requirement(text).extras for text in extras["all"]] == [
        set(extras) - {"all", "embedded", "geo"} - frameworks
    ]
