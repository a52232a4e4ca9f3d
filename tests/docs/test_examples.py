"""Every example of the pages runs unchanged, with a server and without, and prints the output that the page shows.

A page has two readers: one follows it with asyncio, the other types the blocks marked for threads.
"""

from pathlib import Path

import pytest

from tests.docs.conftest import Environment
from tests.docs.pages import PAGES, ROOT, Block, blocks
from tests.docs.running import example

# Code of other libraries stands only beside ours, on the pages for their users. These tests do not run it.
OTHERS = {'title="cashews"', 'title="aiocache"', 'title="fastapi-cache"', 'title="Django"', 'title="by hand"'}
# Pages whose output differs between memory and a server.
ONLY = {"docs/health.md": "memory", "docs/metrics.md": "memory"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def ours(page: Path) -> list[Block]:
    found = blocks(page.read_text(encoding="utf-8"), "python")
    return [block for block in found if not any(other in block.info for other in OTHERS)]


def followed(page: Path, face: str) -> list[Block]:
    """Return the blocks that a reader of one kind types."""
    return [block for block in ours(page) if block.is_for_threads is (face == "threads")]


RUNS = [
    pytest.param(page, face, kind, id=f"{name_of(page)}-{face}-{kind}")
    for page in PAGES
    for face in ("asyncio", "threads")
    for kind in ("memory", "shared")
    if followed(page, face) and ONLY.get(name_of(page), kind) == kind
]


@pytest.mark.parametrize(("page", "face", "kind"), RUNS)
def test_the_examples_run(page: Path, face: str, kind: str, environment: Environment, tmp_path: Path) -> None:
    environment(kind)
    with pytest.MonkeyPatch.context() as patch, example(page.stem) as shown:
        patch.chdir(tmp_path)  # the folder for files that an example writes
        for block in followed(page, face):
            shown.run(block)


def test_a_print_that_says_something_else_is_seen() -> None:
    with example("page") as shown:
        shown.run(Block("python", "print('as it says')  # as it says\nprint('begins')  # beg...\n", 1))
        with pytest.raises(AssertionError, match=r"page:7 prints \['2'\], the page says '3'"):
            shown.run(Block("python", "print(1 + 1)  # 3\n", 7))


def test_a_print_that_never_happens_is_seen() -> None:
    with example("page") as shown, pytest.raises(AssertionError, match="page:2 prints nothing"):
        shown.run(Block("python", "if False:\n    print(1)  # 1\n", 1))


def test_a_block_may_await_and_goes_on_where_the_last_one_ended() -> None:
    with example("page") as shown:
        shown.run(Block("python", "async def one() -> int:\n    return 1\n", 1))
        shown.run(Block("python", "print(await one())  # 1\n", 4))


def test_code_of_others_stands_only_in_the_pages_for_those_who_come_from_there() -> None:
    foreign = {
        name_of(page) for page in PAGES if len(ours(page)) < len(blocks(page.read_text(encoding="utf-8"), "python"))
    }
    assert all(name == "docs/why.md" or name.startswith("docs/migration/") for name in foreign)


def test_code_that_is_not_run_here_stands_only_where_another_test_runs_it() -> None:
    elsewhere = [name_of(page) for page in PAGES if blocks(page.read_text(encoding="utf-8"), "py")]
    # tests/frameworks/test_django_page.py runs a site with settings, tests/testing/test_docs.py the files of a suite.
    assert elsewhere == ["docs/django.md", "docs/testing.md"]
