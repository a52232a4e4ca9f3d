"""Metrics: every counter, under names that follow Prometheus' rules, with a bounded number of labels."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields, replace
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

import fleetcache
from fleetcache import Cache, Health, Stats, Status
from fleetcache.ops import OpsApp, collector
from fleetcache.ops.metrics import LINK_STATES, OTHER, REASONS, UNUSABLE
from fleetcache.wire import reasons as faults
from tests.conftest import StartServer
from tests.ops.probing import client
from tests.support.run import run
from tests.support.servers import Server, free_port
from tests.support.waiting import eventually

SOURCES = Path(fleetcache.__file__).parent


class Still:
    """A cache with fixed numbers, set by the test."""

    tried, closed = True, False

    def __init__(self, stats: Stats, health: Health) -> None:
        self._stats, self._health = stats, health

    def stats(self) -> Stats:
        return self._stats

    def status_now(self) -> Health:
        return self._health

    async def health(self) -> Health:
        raise AssertionError("a scrape must not speak with the server")


def still(**stats: Any) -> Still:
    cache = Cache("memory://")
    return Still(replace(cache.stats(), **stats), cache.status_now())


def scraped(cache: Any) -> dict[str, float]:
    """Return samples by name and labels, as Prometheus writes them: ``name{label="value"}``."""
    registry = CollectorRegistry()
    registry.register(collector(cache))
    return {written(sample): sample.value for family in registry.collect() for sample in family.samples}


def written(sample: Any) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}}" if labels else str(sample.name)


async def families(app: OpsApp) -> list[Metric]:
    async with client(app) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return list(text_string_to_metric_families(answer.text))


def test_the_exposition_parses_and_its_names_follow_the_rules() -> None:
    found = run(families(OpsApp(Cache("memory://"))))
    assert len({family.name for family in found}) == len(found) > 25
    for family in found:
        assert re.fullmatch(r"fleetcache_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation
        assert family.type in {"counter", "gauge"}
        for sample in family.samples:
            assert sample.name == family.name + ("_total" if family.type == "counter" else "")
            assert sample.labels.keys() <= {"tier", "kind", "reason", "state"}


def test_every_counter_and_gauge_of_the_cache_is_there() -> None:
    numbers = [field.name for field in fields(Stats) if field.type in {int, float}]
    assert len(numbers) > 30
    values = {name: 1000.0 + i for i, name in enumerate(numbers)}
    shown = set(scraped(still(**values)).values())
    assert {name: value for name, value in values.items() if value not in shown} == {}


def test_what_a_cache_did_is_counted(server: Server, prefix: str) -> None:
    async def load() -> str:
        await asyncio.sleep(0.01)
        return "value"

    async def fail() -> str:
        raise OSError

    async def scene() -> None:
        async with (
            Cache(server.url, prefix=prefix, operation_timeout="5s") as one,
            Cache(server.url, prefix=prefix, operation_timeout="5s") as other,
        ):
            assert await one.get_or_set("key", load) == "value"
            assert await one.get("key") == "value"
            assert await other.get("key") == "value"
            with pytest.raises(OSError):  # noqa: PT011 - what fail raises
                await one.get_or_set("broken", fail)
            before = scraped(one)
            assert before['fleetcache_hits_total{tier="near"}'] == 1
            assert before['fleetcache_hits_total{tier="shared"}'] == 0
            assert before["fleetcache_misses_total"] == 2
            assert before["fleetcache_loads_total"] == 2
            assert before["fleetcache_load_failures_total"] == 1
            assert 0.005 < before["fleetcache_load_seconds_total"] < 5
            assert before["fleetcache_leases_total"] == 2
            assert before["fleetcache_near_items"] == 1
            assert 0 < before["fleetcache_near_bytes"] < before["fleetcache_near_max_bytes"]
            assert before["fleetcache_link_epoch"] == 1
            assert before["fleetcache_up"] == 1
            assert before["fleetcache_degraded"] == 0
            assert scraped(other)['fleetcache_hits_total{tier="shared"}'] == 1
            foreign = 'fleetcache_invalidations_total{kind="foreign"}'
            await other.delete("key")
            await eventually(lambda: scraped(one)[foreign] > before[foreign])
            assert scraped(one)["fleetcache_near_items"] == 0
            assert scraped(other)["fleetcache_removals_total"] == 1

    run(scene())


def test_the_link_is_in_one_state_and_an_outage_is_seen(fresh_server: StartServer, prefix: str) -> None:
    def state(samples: dict[str, float]) -> str:
        states = {name for name in LINK_STATES if samples[f'fleetcache_link_state{{state="{name}"}}'] == 1}
        assert len(states) == 1
        return states.pop()

    async def scene() -> None:
        server = fresh_server()
        async with Cache(server.url, prefix=prefix, operation_timeout="5s") as cache:
            assert state(scraped(cache)) == "online"
            server.kill()
            await eventually(lambda: state(scraped(cache)) == "offline")
            await cache.delete("key")
            samples = scraped(cache)
            assert samples["fleetcache_degraded"] == samples["fleetcache_up"] == 1
            assert samples["fleetcache_journal_entries"] == 1
            lost = [value for name, value in samples.items() if name.startswith("fleetcache_errors_total")]
            assert sum(lost) == 1
            server.restart()
            await eventually(lambda: state(scraped(cache)) == "online")
            samples = scraped(cache)
            assert samples["fleetcache_degraded"] == samples["fleetcache_journal_entries"] == 0
            assert samples["fleetcache_reconnects_total"] == samples["fleetcache_replayed_total"] == 1
        assert state(scraped(cache)) == "closed"

    run(scene())


@pytest.mark.parametrize(
    ("status", "degraded", "up"), [(Status.HEALTHY, 0, 1), (Status.DEGRADED, 1, 1), (Status.UNHEALTHY, 1, 0)]
)
def test_one_alert_on_degraded_sees_unhealthy_too(status: Status, degraded: int, up: int) -> None:
    cache = Cache("memory://")
    samples = scraped(Still(cache.stats(), replace(cache.status_now(), status=status)))
    assert (samples["fleetcache_degraded"], samples["fleetcache_up"]) == (degraded, up)


def test_a_scrape_does_not_open_the_cache() -> None:
    async def scene() -> None:
        cache = Cache(f"redis://127.0.0.1:{free_port()}", prefix="scraped")
        await families(OpsApp(cache))
        assert not cache.tried
        assert len(asyncio.all_tasks()) == 1
        await cache.close()

    run(scene())


def test_labels_are_the_same_few_whatever_is_counted() -> None:
    calm = scraped(still())
    counted = {f"user:{i}": 1 for i in range(1000)} | {"oom": 5, "tags": 7}
    storm = scraped(still(errors=counted, unusable=counted, link="elsewhere"))
    assert storm.keys() == calm.keys()
    assert storm['fleetcache_errors_total{reason="oom"}'] == 5
    assert storm[f'fleetcache_errors_total{{reason="{OTHER}"}}'] == 1007
    assert storm['fleetcache_unusable_total{kind="tags"}'] == 7
    assert storm[f'fleetcache_unusable_total{{kind="{OTHER}"}}'] == 1005


def test_every_reason_and_defect_has_its_own_label() -> None:
    reasons = set(faults._BY_CODE.values())
    reasons |= set(re.findall(r'return "(\w+)"', (SOURCES / "wire" / "reasons.py").read_text()))
    reasons |= set(re.findall(r'\.fail\("(\w+)"', (SOURCES / "engine" / "aio" / "connection.py").read_text()))
    assert len(reasons) > 20
    assert reasons <= set(REASONS)
    defects = set(re.findall(r'_unusable\([^\n]*"(\w+)"[,)]', (SOURCES / "shared" / "entries.py").read_text()))
    assert defects == set(UNUSABLE)


def test_no_key_tag_prefix_or_address_is_shown(server: Server) -> None:
    async def scene() -> None:
        async with Cache(server.url, prefix="secretive") as cache:
            await cache.set("user:alice", "value", tags=("team-red",))
            await cache.get("user:alice")
            await cache.invalidate_tags("team-red")
            async with client(OpsApp(cache)) as http:
                text = (await http.get("/metrics")).text
        for hidden in ("alice", "team-red", "secretive", "127.0.0.1", str(server.address.port)):
            assert hidden not in text

    run(scene())


def test_a_registry_that_the_user_has_takes_it_and_apps_do_not_share_theirs() -> None:
    cache = Cache("memory://")
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector(cache))
    assert registry.get_sample_value("fleetcache_up") == 1
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(collector(Cache("memory://")))
    assert OpsApp(cache) is not OpsApp(cache)  # the second app is not refused as a duplicate
