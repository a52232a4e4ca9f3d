"""The README keeps its promises: it is short, its app runs, and its outage looks like a real outage."""

import json
import re
import tomllib
from typing import Any

import httpx
import pytest

from fleetcache import Cache, Settings
from fleetcache.ops import OpsApp
from fleetcache.ops.metrics import REASONS
from tests.conftest import StartServer
from tests.docs.conftest import Environment
from tests.docs.pages import DOCS, ROOT, blocks, links
from tests.docs.running import example
from tests.support.run import run
from tests.support.waiting import eventually

README = (ROOT / "README.md").read_text(encoding="utf-8")
# Fields that differ from one outage to the next: time, place, machine, speed.
VOLATILE = {"since", "instance", "server", "version", "last_error", "last_reply_age", "engine", "fleetcache"}


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


def test_the_second_paragraph_behind_the_bullets_names_the_limits() -> None:
    _, _, rest = README.partition("\n- **")
    bullets, text, *_ = ("- **" + rest).split("\n\n")
    assert len(re.findall(r"^- \*\*", bullets, re.MULTILINE)) == 6
    assert text.startswith("It is not ")


def test_the_failure_table_has_each_way_in_which_a_server_fails() -> None:
    table = README.partition("## When it fails")[2].partition("\n## ")[0]
    ways = [row.split()[0].rstrip(",") for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE)]
    assert ways == ["Redis", "down", "slow", "frozen", "full", "read-only", "failing", "back"]
    named = set(re.findall(r"reason `(\w+)`", table))
    assert named <= set(REASONS)


def dead_on_an_index(readme: str, urls: dict[str, str]) -> list[str]:
    """Return the links that lead nowhere on a package index: relative ones, once the project has an address."""
    return [link for link in links(readme) if urls and not link.startswith(("https://", "#"))]


def test_its_links_work_on_a_package_index_as_soon_as_the_project_has_an_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dead_on_an_index(README, project.get("urls", {})) == []


def test_a_link_that_is_dead_on_an_index_is_seen() -> None:
    text = "[a](docs/tags.md) [b](https://docs.example/tags.html) [c](#use-it)"
    assert dead_on_an_index(text, {"Documentation": "https://docs.example"}) == ["docs/tags.md"]
    assert dead_on_an_index(text, {}) == []


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
