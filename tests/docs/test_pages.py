"""The shape of every page: two lines on its subject, and at the end its failures."""

from pathlib import Path

import pytest

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


# The output of a program is shown unchanged, and one command of a server cannot be cut into two.
_PRINTED = {"text", "json"}
_ONE_COMMAND = "ACL SETUSER "


def wide(text: str) -> list[str]:
    """Return the lines of code that a narrow screen, or two windows side by side, would cut."""
    lines = [line for block in blocks(text) if block.language not in _PRINTED for line in block.code.splitlines()]
    return [line for line in lines if len(line) > WIDTH and not line.startswith(_ONE_COMMAND)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_fits_a_narrow_screen(page: Path) -> None:
    assert wide(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("language", ["python", "yaml", ""])
def test_a_wide_line_is_seen(language: str) -> None:
    line = "x" * (WIDTH + 1)
    assert wide(f"```{language}\n{line[1:]}\n{line}\n```\n") == [line]


def test_what_is_printed_may_be_wide() -> None:
    assert wide(f"```text\n{'x' * 120}\n```\n") == []
