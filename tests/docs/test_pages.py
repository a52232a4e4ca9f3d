"""The shape of every page: two lines on its subject, and at the end its failures."""

from pathlib import Path

import pytest
import yaml

from tests.docs.pages import DOCS, FEATURES, PAGES, ROOT, blocks, headings

# Columns of a code block on the site, beside the menu.
WIDTH = 88
SITE = [page for page in PAGES if page.is_relative_to(DOCS)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", SITE, ids=name_of)
def test_a_page_opens_with_its_name_and_two_lines_that_say_what_it_is_about(page: Path) -> None:
    title, blank, *summary, after = page.read_text(encoding="utf-8").splitlines()[:5]
    assert title.startswith("# ")
    assert blank == after == ""
    assert all(line and not line.startswith(("#", "|", "-", "```", "<")) for line in summary)


@pytest.mark.parametrize("page", FEATURES, ids=name_of)
def test_the_page_of_a_feature_ends_with_what_happens_when_it_fails(page: Path) -> None:
    *_, (level, last) = headings(page.read_text(encoding="utf-8"))
    assert (level, last) == (2, "When it fails")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_there_is_one_title_and_no_heading_twice(page: Path) -> None:
    found = headings(page.read_text(encoding="utf-8"))
    assert [level for level, _ in found].count(1) == 1
    if page.stem != "CHANGELOG":
        assert len({words for _, words in found}) == len(found)


def wide(text: str) -> list[str]:
    """Return the lines of code that a narrow screen, or two windows side by side, would cut."""
    return [line for block in blocks(text, "python") for line in block.code.splitlines() if len(line) > WIDTH]


def test_code_on_the_pages_that_newcomers_read_first_fits_a_narrow_screen() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    start, problems = menu[1]["Start here"], menu[2]["The problems"]
    first = [DOCS / name for entry in [*start, *problems] for name in entry.values()]
    for page in [ROOT / "README.md", DOCS / "index.md", *first]:
        assert wide(page.read_text(encoding="utf-8")) == [], page.name


def test_a_wide_line_is_seen() -> None:
    line = "x" * (WIDTH + 1)
    assert wide(f"```python\n{line[1:]}\n{line}\n```\n") == [line]
