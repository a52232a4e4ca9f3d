"""The page on testing: the tests write its files unchanged, and pytest runs them, as a reader would."""

import re
from pathlib import Path

import pytest

from fleetcache.testing import Proxy
from tests.docs.pages import DOCS, blocks
from tests.testing import inner  # noqa: F401 - loads the test client without its warning

pytest_plugins = ["pytester"]

PAGE = (DOCS / "testing.md").read_text(encoding="utf-8")


def files(face: str) -> dict[str, str]:
    """Return the page's files for a reader of one kind, by the name in the title of each block."""
    found = [*blocks(PAGE, "py"), *blocks(PAGE, "toml")]
    named = [(re.findall(r'title="(.+)"', block.info)[0], block) for block in found]
    shown = {name: block.code for name, block in named if not block.is_for_threads}
    if face == "threads":
        del shown["test_async.py"]
        shown |= {name: block.code for name, block in named if block.is_for_threads}
    return shown


@pytest.fixture(params=["asyncio", "threads"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(face: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with these files, in an environment that names an unreachable server."""
    monkeypatch.setenv("REDIS_URL", "redis://cache.invalid:1")
    monkeypatch.setenv("CACHE_PREFIX", "shop")
    monkeypatch.syspath_prepend(pytester.path)
    for name, text in files(face).items():
        Path(pytester.path, name).write_text(text)
    return pytester


def test_every_example_passes(project: pytest.Pytester, face: str) -> None:
    written = sum(len(re.findall(r"^(?:async )?def test_", text, re.MULTILINE)) for text in files(face).values())
    result = project.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:timeout")
    assert result.parseoutcomes() == {"passed": written}


def test_an_example_that_promises_too_much_is_seen(project: pytest.Pytester) -> None:
    test = Path(project.path, "test_shop.py")
    test.write_text(test.read_text().replace(".json() == 4", ".json() == 3"))
    result = project.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_shop.py")
    assert result.parseoutcomes()["failed"] == 1


def test_no_example_is_left_out() -> None:
    assert blocks(PAGE, "python") == []  # the pages' other tests would run these one after the other, in one module


def test_the_page_tells_of_every_switch_and_act_of_the_proxy() -> None:
    public = {name for name in vars(Proxy) if not name.startswith("_")} - {"url", "stop", "server"}
    assert {name for name in public if not re.search(rf"`{name}\b", PAGE)} == set()
