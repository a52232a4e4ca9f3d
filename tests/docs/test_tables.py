"""Lists on the pages equal the code: settings, fields, reasons, metrics, alerts, the manual code of the story."""

import re
from typing import Any

import pytest
import yaml
from msgspec.structs import fields
from prometheus_client import CollectorRegistry

from docs.tools.rules_page import page as rules_page
from docs.tools.settings_page import page as settings_page
from fleetcache import Cache, Health
from fleetcache.ops import collector
from fleetcache.ops.metrics import REASONS
from fleetcache.wire.link_state import LinkState
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, prose

# Words that look like metrics: the option and the mark of the pytest plugin.
NO_METRICS = {"fleetcache_fresh", "fleetcache_real"}
# Names with a slip, which the doctor's page shows on purpose.
SLIPS = {"CACHE_TTLS", "CACHE_REDIS_URI", "CACHE_URL"}
STORY = (ROOT / "benchmarks" / "story.py").read_text(encoding="utf-8")


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector(Cache("memory://")))
    return registry


def test_the_page_of_settings_is_what_the_code_says() -> None:
    assert text_of("settings.md") == settings_page(), "run `make docs`"


def test_the_table_of_rules_is_what_the_code_says() -> None:
    assert text_of("simulation.md") == rules_page(text_of("simulation.md")), "run `make docs`"


def test_the_table_of_reasons_has_every_reason() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", text_of("health.md").partition("## Reasons")[2], re.MULTILINE))
    assert listed == set(REASONS) | {
        "no_redis_url",
        "no_tracking",
        "resp2",
        "connecting",
        "closed",
        "evicting",
        "tracking_table",
    }


def test_the_page_of_health_names_every_field_of_the_report() -> None:
    assert [field.name for field in fields(Health) if f"`{field.name}`" not in text_of("health.md")] == []


def test_the_table_of_metrics_is_what_is_served(registry: CollectorRegistry) -> None:
    served = {(sample.name, *sample.labels) for family in registry.collect() for sample in family.samples}
    rows = re.findall(r"^\| `(\w+)(?:\{(\w+)\})?` \| (counter|gauge) \|", text_of("metrics.md"), re.MULTILINE)
    assert {(name, label) if label else (name,) for name, label, _ in rows} == served
    types = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in registry.collect()}
    assert {name: kind for name, _, kind in rows} == types


def test_every_metric_that_a_page_names_is_served(registry: CollectorRegistry) -> None:
    served = {sample.name for family in registry.collect() for sample in family.samples}
    for page in PAGES:
        named = set(re.findall(r"\bfleetcache_\w+", page.read_text(encoding="utf-8")))
        assert named <= served | NO_METRICS, page.name


def rules() -> list[dict[str, Any]]:
    (block,) = blocks(text_of("operations.md"), "yaml")
    (group,) = yaml.safe_load(block.code)["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_alerts_are_rules_that_prometheus_can_read() -> None:
    for rule in rules():
        assert (
            {"alert", "expr", "labels", "annotations"}
            <= rule.keys()
            <= {"alert", "expr", "for", "labels", "annotations"}
        )
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_alerts_count_with_labels_that_are_served(registry: CollectorRegistry) -> None:
    served = {(s.name, *item) for family in registry.collect() for s in family.samples for item in s.labels.items()}
    for rule in rules():
        for name, label, value in re.findall(r'(\w+)\{(\w+)="(\w+)"\}', rule["expr"]):
            assert (name, label, value) in served


def test_the_code_by_hand_is_the_one_that_is_measured() -> None:
    shown = [block.code for block in blocks(text_of("why.md"), "python") if 'title="by hand"' in block.info]
    assert plain(shown[-1]) in plain((ROOT / "benchmarks" / "by_hand.py").read_text(encoding="utf-8"))


def plain(code: str) -> str:
    """Return the code without blank lines and indentation, which a class adds."""
    return "\n".join(line.strip() for line in code.splitlines() if line.strip())


def test_the_table_of_the_story_is_one_of_its_runs() -> None:
    table = text_of("why.md").partition("<!-- begin: one run -->")[2].partition("<!-- end: one run -->")[0]
    rows = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[4:] if line]
    told = STORY.partition("SITUATIONS")[2].partition("}\n\n\n")[0]
    assert len(rows) == told.count(",\n")
    assert all(row.rpartition(": ")[2] in told or row in told for row in rows)


def test_variables_that_pages_name_exist() -> None:
    known = set(re.findall(r"^### (\w+)$", settings_page(), re.MULTILINE)) | SLIPS
    for page in PAGES:
        named = set(re.findall(r"`(CACHE_[A-Z_]+[A-Z])\b", prose(page.read_text(encoding="utf-8"))))
        assert named <= known, page.name


def test_the_page_of_words_has_every_state_and_every_word_of_the_design() -> None:
    design = (
        "near shared entry fresh stale expired flight lease fulfil release claim spent unconfirmed push forget link "
        "epoch horizon journal loader instance place"
    )
    words = set(re.findall(r"^\| (\*.*?) \|", text_of("concepts.md"), re.MULTILINE))
    explained = {word for cell in words for word in re.findall(r"\*(\w+)\*", cell)}
    assert explained == set(design.split()) | {state.value for state in LinkState}


@pytest.mark.parametrize(
    "word",
    """cache stampede|thundering herd|cache-aside|read-through|L1|L2|two-tier|client-side caching|single flight
request coalescing|stale-while-revalidate|stale-if-error|circuit breaker|XFetch|negative caching|distributed lock
backplane|consistency|backoff|jitter|heartbeat|near cache""".replace("\n", "|").split("|"),
)
def test_the_words_that_readers_search_for_stand_on_the_page_of_words(word: str) -> None:
    assert word.lower() in text_of("concepts.md").lower()


def test_every_library_that_readers_know_has_a_row_that_leads_to_a_page() -> None:
    rows = text_of("concepts.md").partition("## If you know it as")[2].partition("\n## ")[0]
    known = {"FusionCache", "bentocache", "cashews", "aiocache", "dogpile.cache", "Django"}
    known |= {"Laravel", "Caffeine", "rueidis", "Spring"}
    led = {line.split(":")[0].strip("| ") for line in rows.splitlines() if line.startswith("|") and ".md" in line}
    assert known <= led
