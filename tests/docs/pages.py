"""The pages as data: their list and their content. This module alone reads code blocks, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown.extensions.toc import slugify  # type: ignore[import-untyped] # one function, in one place

__all__ = ["DOCS", "FEATURES", "PAGES", "REFERENCE", "ROOT", "Block", "anchors", "blocks", "headings", "links", "prose"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
# Pages about no feature that could fail: the door, the story, the words, the plan, the tables.
_NOT_FEATURES = {"index", "why", "quickstart", "concepts", "settings", "design", "benchmarks", "operations"}
REFERENCE = sorted((DOCS / "api").glob("*.md"))  # docstrings, which name the errors themselves
FEATURES = [
    page for page in PAGES if page.is_relative_to(DOCS) and page.stem not in _NOT_FEATURES and page not in REFERENCE
]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^(?P<level>#{1,6}) +(?P<text>.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: ``info`` is the text behind the fence, ``line`` the number of its first line of code."""

    info: str
    code: str
    line: int

    @property
    def language(self) -> str:
        """The first word behind the fence: ``""`` for a drawing or a command line."""
        return self.info.split(" ")[0]

    @property
    def is_for_threads(self) -> bool:
        """True if it is the second form of the example before it: ```` ```python threads ````."""
        return "threads" in self.info.split()


def blocks(text: str, language: str | None = None) -> list[Block]:
    """Return the blocks, or those of a language, in their order."""
    found = [
        Block(match["info"].strip(), match["code"], text.count("\n", 0, match.start("code")) + 1)
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language is None or block.language == language]


def prose(text: str) -> str:
    """Return the text without its blocks."""
    return _FENCE.sub("", text)


def headings(text: str) -> list[tuple[int, str]]:
    """Return level and words of each heading."""
    return [(len(match["level"]), match["text"]) for match in _HEADING.finditer(prose(text))]


def anchors(text: str) -> set[str]:
    """Return the names that a link may have behind ``#``, as the site makes them of headings."""
    return {slugify(words.replace("`", ""), "-") for _, words in headings(text)}


def links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links."""
    for match in _LINK.finditer(re.sub(r"`[^`\n]*`", "code", prose(text))):
        yield match["target"]
