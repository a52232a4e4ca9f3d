"""The README keeps its promises: its code runs, it is short, its links lead somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from fleetcache import Cache
from tests.support.run import run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_DRIVER", "REDIS_URL", "CACHE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def executed(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec", dont_inherit=True), names)  # noqa: S102 - our own README
    return names


def test_it_is_short_and_shows_code_early() -> None:
    lines = README.splitlines()
    assert len(lines) < 120
    assert next(i for i, line in enumerate(lines) if line.startswith("```python")) < 35


@pytest.mark.usefixtures("no_variables")
def test_the_first_example_caches_and_forgets() -> None:
    names = executed(BLOCKS[0])

    async def body() -> None:
        async with names["cache"]:
            first = await names["user"](42)
            assert first == {"name": "user 42"} == names["user"].peek(42)
            await names["rename"](42, "other")
            assert names["user"].peek(42) is None

    run(body())


def test_the_verbs_example_runs() -> None:
    names = executed(BLOCKS[1])

    async def body() -> None:
        async with Cache("memory://") as cache:
            await names["prices"](cache)
            assert await cache.get("price:1") is None

    run(body())


@pytest.mark.usefixtures("no_variables")
def test_the_ops_example_runs() -> None:
    assert executed(BLOCKS[2])["ops"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
