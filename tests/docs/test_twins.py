"""Both faces side by side: the first example of a page is there for asyncio and, right behind it, for threads."""

import re
from pathlib import Path

import pytest

from docs.tools.site import TWINS
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks

# The first page, and the pages whose examples show a verb.
BOTH = [
    "index",
    "quickstart",
    "functions",
    "loading",
    "refreshing",
    "writing",
    "tags",
    "batches",
    "counters",
    "values",
    "cannot",
    "workers",
    "keys",
    "namespaces",
    "testing",
    "health",
]
# Pages whose two examples are apps of two frameworks, or two ways to test.
OF_THEIR_OWN = {"quickstart", "testing", "workers"}

ASYNC = """```python
from fleetcache import Cache, CodecError

cache = Cache.from_env()


async def load() -> int:
    return await source()
```
"""
THREADS = """```python threads
from fleetcache import CodecError, SyncCache

cache = SyncCache.from_env()


def load() -> int:
    return source()
```
"""


def text_of(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def twins(text: str) -> list[tuple[str, str]]:
    """Return both forms of each example that has two."""
    return [(code_of(each["asyncio"]), code_of(each["open"] + each["rest"])) for each in TWINS.finditer(text)]


def code_of(fenced: str) -> str:
    return "".join(fenced.splitlines(keepends=True)[1:-1])


def begins_with_both(text: str) -> bool:
    first = re.search(r"^```py", text, re.MULTILINE)
    pair = TWINS.search(text)
    return first is not None and pair is not None and first.start() == pair.start()


def without_await(code: str) -> list[str]:
    """Return the lines of an example without the words of asyncio; the words of an import in any order."""
    plain = re.sub(r"\bCache\b", "SyncCache", re.sub(r"\b(async|await) ", "", code))
    return ["".join(sorted(line)) if line.startswith("from ") else line for line in plain.splitlines()]


def say_the_same(asyncio: str, threads: str) -> bool:
    """Return True if both are equal; code for threads may begin with more, if asyncio's goes on from a block before."""
    said = without_await(asyncio)
    return without_await(threads)[-len(said) :] == said


@pytest.mark.parametrize("name", BOTH)
def test_the_first_example_of_a_page_stands_there_for_both(name: str) -> None:
    assert begins_with_both(text_of(name))


def test_a_page_that_begins_with_one_alone_is_seen() -> None:
    assert begins_with_both(f"{ASYNC}\n{THREADS}")
    assert not begins_with_both(f"{ASYNC}\nAnd then:\n\n{ASYNC}\n{THREADS}")
    assert not begins_with_both(f"{ASYNC}\nWith threads:\n\n{THREADS}")


def test_the_readme_shows_both_one_right_after_the_other() -> None:
    first, second = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    assert not first.is_for_threads
    assert second.is_for_threads
    assert second.line - (first.line + first.code.count("\n")) <= 5


@pytest.mark.parametrize("name", sorted(set(BOTH) - OF_THEIR_OWN))
def test_both_say_the_same(name: str) -> None:
    for asyncio, threads in twins(text_of(name)):
        assert say_the_same(asyncio, threads), threads


def test_two_that_say_different_things_are_seen() -> None:
    assert say_the_same(code_of(ASYNC), code_of(THREADS))
    assert not say_the_same(code_of(ASYNC), code_of(THREADS.replace("int", "str")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_for_threads_awaits_nothing_and_stands_behind_its_twin(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    marked: list[Block] = [b for kind in ("python", "py") for b in blocks(text, kind) if b.is_for_threads]
    assert not any(re.search(r"\b(async|await|asyncio)\b", block.code) for block in marked)
    if page.is_relative_to(DOCS):  # other pages have no tabs
        assert sorted(code for _, code in twins(text)) == sorted(block.code for block in marked)
