"""The pages on health and metrics: their examples run, and their tables are those of the code."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import fields
from prometheus_client import CollectorRegistry

from fleetcache import Cache, Health
from fleetcache.ops import app, checks, collector, metrics
from fleetcache.ops.metrics import REASONS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page: (DOCS / f"{page}.md").read_text() for page in ("health", "metrics")}


@pytest.mark.parametrize(("page", "shown"), [("health", "'reason': 'no_redis_url'"), ("metrics", "fleetcache_up 1.0")])
def test_the_examples_run(page: str, shown: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)
    assert blocks
    clean = {name: value for name, value in os.environ.items() if "REDIS" not in name and "CACHE_" not in name}
    for block in blocks:
        command = [sys.executable, "-W", "error", "-c", block]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, env=clean)  # noqa: S603 - our own page
        assert ended.returncode == 0, ended.stderr
        assert shown in ended.stdout


@pytest.mark.parametrize("module", [app, checks, metrics])
def test_the_examples_of_docstrings_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_table_of_reasons_has_every_reason() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGES["health"].partition("## Reasons")[2], re.MULTILINE))
    assert listed == set(REASONS) | {"no_redis_url", "no_tracking", "connecting", "closed"}


def test_the_page_names_every_field_of_the_report() -> None:
    assert [field.name for field in fields(Health) if f"`{field.name}`" not in PAGES["health"]] == []


def test_the_table_of_metrics_is_what_is_served() -> None:
    registry = CollectorRegistry()
    registry.register(collector(Cache("memory://")))
    served = {(sample.name, *sample.labels) for family in registry.collect() for sample in family.samples}
    rows = re.findall(r"^\| `(\w+)(?:\{(\w+)\})?` \| (counter|gauge) \|", PAGES["metrics"], re.MULTILINE)
    assert {(name, label) if label else (name,) for name, label, _ in rows} == served
    types = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in registry.collect()}
    assert {name: kind for name, _, kind in rows} == types


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_two_lines_and_ends_with_what_happens_when_it_fails(page: str) -> None:
    title, _, *summary = PAGES[page].splitlines()[:5]
    assert title.startswith("# ")
    assert [bool(line) for line in summary] == [True, True, False]
    assert re.findall(r"^## (.*)", PAGES[page], re.MULTILINE)[-1] == "What happens when it fails"
