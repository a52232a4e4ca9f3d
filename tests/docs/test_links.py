"""Every link leads somewhere: to a page, to a heading of it, to a file of the repository. No network is used."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, prose

# A file of the repository named in passing, perhaps with a test in it: `tests/unit/format/test_keys.py::test_it`.
_FILE = re.compile(r"`((?:src|tests|docs|examples|benchmarks)/[\w./-]+)(?:::(\w+))?`")


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def dead(page: Path, text: str) -> Iterator[str]:
    """Yield the links of a page that lead nowhere."""
    for target in links(text):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(text if not path else text_of(file)):
            yield f"{target}: no such heading"
    for path, test in _FILE.findall(prose(text)):
        file = ROOT / path
        if not file.exists():
            yield f"{path}: no such file"
        elif test and f"def {test}(" not in text_of(file):
            yield f"{path}: no test {test}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert list(dead(page, text_of(page))) == []


@pytest.mark.parametrize(
    "text",
    [
        "[x](nowhere.md)",
        "[x](health.md#no-such-heading)",
        "[x](#no-such-heading)",
        "[x](../../outside.md)",
        "[x](http://insecure.example)",
        "`src/fleetcache/nowhere.py`",
        "`tests/unit/format/test_keys.py::test_nowhere`",
    ],
)
def test_a_dead_link_is_seen(text: str) -> None:
    assert len(list(dead(DOCS / "health.md", text))) == 1


def test_code_is_no_link() -> None:
    assert list(dead(DOCS / "health.md", "`[x](nowhere.md)`\n```python\n[x](nowhere.md)\n```\n")) == []


def test_every_page_can_be_reached_from_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(re.findall(r"[\w/-]+\.md", menu)) == sorted(
        [page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)]
        + ["SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md"]  # added by docs/tools/site.py
    )


def test_the_menu_is_a_few_groups_and_begins_with_the_quick_start() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    groups = [next(iter(group.values())) for group in menu]
    assert groups[0] == "index.md"
    assert groups[1][0] == {"Quick start": "quickstart.md"}
    assert len(groups) <= 8
    assert all(len(pages) <= 9 for pages in groups[1:])


def test_the_door_leads_to_every_page() -> None:
    led = {link.partition("#")[0] for link in links(text_of(DOCS / "index.md"))}
    assert led >= {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"index.md"}
