"""The README keeps its promises: it is short, its app runs, and its outage looks like a real outage."""

import json
import re
import tomllib
from typing import Any

import httpx
import pytest

from docs.tools.site import ROOT_PAGES
from fleetcache import Cache, Settings
from fleetcache.ops import OpsApp
from fleetcache.ops.metrics import REASONS
from tests.conftest import StartServer
from tests.docs.conftest import Environment
from tests.docs.pages import DOCS, ROOT, anchors, blocks, links
from tests.docs.running import example
from tests.support.run import run
from tests.support.waiting import eventually

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SITE: str = PROJECT["urls"]["Documentation"]
# Fields that differ from one outage to the next: time, place, machine, speed.
# The bytes of an object, and so of the near cache, are those of the Python that runs the test.
VOLATILE = {
    *("since", "instance", "server", "version", "last_error", "last_reply_age", "engine", "fleetcache", "near_bytes"),
}


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")


def shown(text: str) -> dict[str, Any]:
    """Return the report of a degraded instance, as a page shows it."""
    (report,) = [json.loads(block.code) for block in blocks(text, "json")]
    assert report["status"] == "degraded"
    return dict(report)


def test_it_is_short_and_shows_code_early() -> None:
    lines = README.splitlines()
    assert len(lines) < 120
    assert lines.index("```python") < 30
    assert lines.count("```python") == 1


@pytest.mark.parametrize(
    "word",
    [
        "cache stampede",
        "two tiers (L1/L2)",
        "client-side caching",
        "single flight",
        "request coalescing",
        "stale-while-revalidate",
        "circuit breaker",
        "backplane",
        "distributed lock",
    ],
)
def test_the_words_that_readers_search_for_stand_before_the_code(word: str) -> None:
    assert word.lower() in README.partition("```")[0].lower()


def test_the_first_paragraph_is_the_problem_and_the_promise_the_second_what_it_is_not() -> None:
    title, first, second, bullets, commands, use, *_ = README.split("\n\n")
    assert title == "# fleetcache"
    assert all(word in first for word in ("fast, and wrong", "outage", "two-tier cache", "cache stampede"))
    assert second.startswith("It is not ")
    assert len(re.findall(r"^- \*\*", bullets, re.MULTILINE)) == 6
    assert [command.split("#")[0].strip() for command in commands.splitlines()] == ["make demo", "make test"]
    assert use == "## Use it"


def test_the_failure_table_has_each_way_in_which_a_server_fails() -> None:
    table = README.partition("## When it fails")[2].partition("\n## ")[0]
    ways = [row.split()[0].rstrip(",") for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE)]
    assert ways == ["Redis", "down", "slow", "frozen", "full", "read-only", "failing", "back"]
    named = set(re.findall(r"reason `(\w+)`", table))
    assert named <= set(REASONS)


def dead_on_an_index(readme: str, site: str) -> list[str]:
    """Return the links that lead nowhere on a package index: it has the README alone, and the site has the pages."""
    return [link for link in links(readme) if not (link.startswith(site) and _is_there(link.removeprefix(site)))]


def _is_there(path: str) -> bool:
    path, _, anchor = path.partition("#")
    name = path.removesuffix(".html") + ".md"
    page = ROOT / name if name in ROOT_PAGES else DOCS / name
    if not path.endswith(".html") or not page.exists():
        return False
    return not anchor or anchor in anchors(page.read_text(encoding="utf-8"))


def test_each_link_works_on_a_package_index_too() -> None:
    assert README.count("](") == len(list(links(README))) > 20
    assert dead_on_an_index(README, SITE) == []


@pytest.mark.parametrize(
    "target",
    [
        "docs/tags.md",
        "tags.html",
        "#use-it",
        "https://docs.example/tags.html",
        f"{SITE}nowhere.html",
        f"{SITE}tags.md",
        f"{SITE}tags/",
        f"{SITE}tags.html#nowhere",
        f"{SITE}LICENSE.html",
    ],
)
def test_a_link_that_is_dead_on_an_index_is_seen(target: str) -> None:
    assert dead_on_an_index(f"[a]({target}) [b]({SITE}tags.html) [c]({SITE}SECURITY.html)", SITE) == [target]


def test_it_and_the_quick_start_say_whose_numbers_a_scrape_shows() -> None:
    for page in (README, (DOCS / "quickstart.md").read_text(encoding="utf-8")):
        assert "`/metrics` is each worker's own" in page
        assert "metrics-and-health-of-each-worker" in page


def test_its_defaults_are_those_of_the_code() -> None:
    plain = Settings()
    for row in (f"| `CACHE_PREFIX` | `{plain.prefix}` |", "| `CACHE_TTL` / `CACHE_STALE` | `5m` / `0` |"):
        assert row in README
    assert (plain.ttl, plain.stale, plain.required) == (300, 0, False)


def test_its_app_runs_and_goes_on_without_its_server(
    environment: Environment, fresh_server: StartServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment("memory")
    server = fresh_server()
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("CACHE_PREFIX", prefix)

    async def main(names: dict[str, Any]) -> None:
        async with names["cache"], client(names["app"]) as http:
            assert (await http.get("/users/42")).json() == {"name": "user 42"} == names["user"].peek(42)
            assert (await http.put("/users/42", params={"name": "new"})).status_code == 200
            assert names["user"].peek(42) is None
            server.kill()
            await eventually(lambda: names["cache"].status_now().reason == "refused")
            assert (await http.get("/users/42")).json() == {"name": "user 42"}
            health = await http.get("/ops/healthz")
            assert health.status_code == (await http.get("/ops/readyz")).status_code == 200
            said = shown(README)
            assert list(health.json()) == list(said)
            assert health.json() | {"since": said["since"]} == said

    with example("readme") as page:
        page.run(blocks(README, "python")[0])
        run(main(vars(page.module)))


def test_the_full_report_on_the_page_of_health_is_a_real_one(fresh_server: StartServer) -> None:
    server = fresh_server()

    async def main() -> dict[str, Any]:
        async with Cache(server.url, prefix="shop") as cache, client(OpsApp(cache, detail="full")) as http:
            await cache.set("user:42", "Ada", strict=True)
            server.kill()
            await eventually(lambda: cache.status_now().reason == "refused")
            await cache.delete("user:42")
            return dict((await http.get("/healthz")).json())

    said, seen = shown((DOCS / "health.md").read_text(encoding="utf-8")), run(main())
    assert list(said) == list(seen)
    assert {k: v for k, v in said.items() if k not in VOLATILE} == {k: v for k, v in seen.items() if k not in VOLATILE}
