"""The server that the library was born for, as real processes: a Valkey, the origin and several instances.

The demo plays all its acts in ``tests/examples/demo/test_command.py``. Here are their twins, the same acts without the
promise, which must report it; and the app's own answers.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest
from rich.console import Console

from examples.demo.acts import asked_again, back_with_an_old_snapshot, changed_setting, one_call_per_address
from examples.demo.addresses import from_file, zipf
from examples.demo.lines import Lines
from examples.demo.outage import killed_under_load
from examples.demo.plan import SceneError
from examples.demo.scene import Scene
from examples.demo.stage import Finding, Stage
from examples.demo.traffic import RATE, Answer, Traffic
from examples.geo.origin import Window
from tests.support.clock import ManualClock

TRACE = os.environ.get("FLEETCACHE_TRACE")  # a real log, where there is one
FASTER = 4  # than the demo, which people watch
SEED = 7


Act = Callable[[Stage, float], Awaitable[None]]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(instances=2) as scene:
        yield scene


def play(scene: Scene, requests: Sequence[str], *acts: Act, seconds: float = 0.5, rate: float = RATE) -> list[Finding]:
    """Play acts and return their findings."""

    async def tell() -> list[Finding]:
        async with Traffic(scene.urls, rate) as traffic:
            stage = Stage(scene, traffic, requests, Lines(Console(width=200)))
            for act in acts:
                await act(stage, seconds)
        return stage.findings

    return asyncio.run(tell())


def failed(findings: list[Finding]) -> list[str]:
    assert findings
    return [finding.promised for finding in findings if not finding.held]


def test_addresses_cost_one_origin_call_each_those_of_a_real_log_where_there_is_one(scene: Scene) -> None:
    requests = from_file(Path(TRACE), 2_000) if TRACE else zipf(scene.new_addresses(100), 500, SEED)
    seconds = len(requests) / RATE / FASTER
    assert failed(play(scene, requests, one_call_per_address, asked_again, seconds=seconds, rate=RATE * FASTER)) == []


def test_separate_caches_would_call_more_often_and_see_no_change() -> None:
    with Scene(instances=2, CACHE_DRIVER="memory") as scene:
        requests = zipf(scene.new_addresses(50), 300, SEED)
        assert failed(play(scene, requests, one_call_per_address, changed_setting)) == [
            "one origin call per address for all instances",
            "a change is seen by the others at once",
        ]


def test_without_memory_requests_fail() -> None:
    with Scene(instances=1, CACHE_NEAR_MAX_BYTES="0") as scene:
        findings = play(scene, scene.new_addresses(3), killed_under_load)
    assert "Valkey dead, origin at its limit: no failed request" in failed(findings)


def test_who_changed_a_setting_removes_it_again_from_a_snapshot_that_is_trusted() -> None:
    """Its twin, an instance that ends before it can, is in ``tests/faults/test_lost_past.py``."""
    with Scene(instances=1, CACHE_TRUST_RESTART="true") as scene:
        findings = play(scene, scene.new_addresses(3), killed_under_load, back_with_an_old_snapshot)
    assert "nothing of the old snapshot is answered" not in failed(findings)


def test_an_origin_without_calls_means_an_old_answer_or_a_clear_error() -> None:
    with Scene(instances=1, GEO_TTL="300ms") as scene:
        old, new = scene.new_addresses(5), scene.new_addresses(5)

        async def ask() -> tuple[list[Answer], list[Answer], list[Answer]]:
            async with Traffic(scene.urls) as traffic:
                first = await traffic.send(old)
                scene.limit_origin(0)
                await asyncio.sleep(0.3)  # now all answered entries are stale
                return first, await traffic.send(old), await traffic.send(new)

        first, again, refused = asyncio.run(ask())
    assert all(answer.ok for answer in first + again)
    assert {answer.path: answer.body for answer in first} == {answer.path: answer.body for answer in again}
    assert all(answer.refused for answer in refused), refused


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/locate/8.8.8.8", None, 200),
        ("GET", "/locate/2001:4860:4860::8888", None, 200),
        ("GET", "/locate/10.1.2.3", None, 200),  # private: the address has no place
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
        answers = [client.get(f"/locate/{ip}").json() for ip in ("2001:DB8:1000::8", "2001:db8:1000:0:0::8")]
    assert answers[0] == answers[1]
    assert answers[0]["country_code"]
    assert scene.calls()["by_address"] == {"2001:db8:1000::8": 1}


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
    assert window.left == 0
    window.limit = 1
    assert window.take() == 60
    window.limit = 0
    assert window.take() == 60
    window.limit = 3
    assert window.left == 1


def test_a_scene_that_cannot_start_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = {child.pid for child in psutil.Process().children()}
    with (
        pytest.raises(SceneError, match=r"(?s)instance-a ended with status.*CACHE_DRIVER"),
        Scene(1, CACHE_DRIVER="tape"),
    ):
        pass
    assert {child.pid for child in psutil.Process().children()} <= before
    assert list(tmp_path.iterdir()) == []
