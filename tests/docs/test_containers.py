"""The page on containers: its files parse, its probes are routes, its settings exist, its server starts."""

import re
import shlex
import tomllib
from typing import Any

import httpx
import pytest
import yaml

from fleetcache import Cache, Settings
from fleetcache.cli.doctor.configuration import near_misses
from fleetcache.config.environment import VARIABLES
from fleetcache.ops import OpsApp
from tests.conftest import StartServer
from tests.docs.pages import DOCS, ROOT, blocks
from tests.support.run import run

PAGE = (DOCS / "containers.md").read_text(encoding="utf-8")
DOCKERFILE = blocks(PAGE, "dockerfile")[0].code
URL = "redis://cache:6379/0"  # the URL in the secret


def file(name: str) -> Any:
    (block,) = [block for block in blocks(PAGE, "yaml") if f'title="{name}"' in block.info]
    return yaml.safe_load(block.code)


def compose() -> dict[str, Any]:
    return dict(file("compose.yaml")["services"])


def container() -> dict[str, Any]:
    (found,) = file("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environments() -> list[dict[str, str]]:
    pod = {row["name"]: row.get("value", URL) for row in container()["env"]}
    return [compose()["app"]["environment"], pod]


@pytest.mark.parametrize("environ", environments())
def test_the_variables_are_settings_with_good_values(environ: dict[str, str]) -> None:
    assert set(environ) <= {variable.env for variable in VARIABLES}
    settings = Settings.from_env(environ)
    assert (settings.resolved_driver, settings.default_prefix, settings.doubts) == ("redis", False, [])


def test_near_takes_a_quarter_of_the_memory_limit_at_most() -> None:
    (environ,) = [each for each in environments() if "CACHE_NEAR_MAX_BYTES" in each]
    limit = re.fullmatch(r"(\d+)Mi", container()["resources"]["limits"]["memory"])
    assert limit is not None
    assert Settings.from_env(environ).near_max_bytes * 4 <= int(limit[1]) * 2**20


def paths() -> dict[str, str]:
    """Return the path of each probe, and of the scrape."""
    deployed = file("deployment.yaml")["spec"]["template"]
    found = {name: probe["httpGet"]["path"] for name, probe in container().items() if name.endswith("Probe")}
    found["scrape"] = deployed["metadata"]["annotations"]["prometheus.io/path"]
    found["compose"] = re.findall(r"localhost:8000(/[\w/]+)", " ".join(compose()["app"]["healthcheck"]["test"]))[0]
    return found


def test_each_probe_is_a_route_and_no_restart_follows_an_outage() -> None:
    async def main() -> dict[str, int]:
        async with Cache("memory://") as cache:
            transport = httpx.ASGITransport(OpsApp(cache))
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
                return {name: (await http.get(path.removeprefix("/ops"))).status_code for name, path in paths().items()}

    assert set(run(main()).values()) == {200}
    assert {name: path for name, path in paths().items() if path == "/ops/livez"} == {"livenessProbe": "/ops/livez"}
    assert 'app.mount("/ops"' in PAGE


def test_all_ports_are_the_one_of_the_image() -> None:
    assert {*re.findall(r"\b8\d{3}\b", PAGE)} == {"8000"}


def test_the_image_runs_the_app_of_the_page_and_hands_signals_on() -> None:
    command = re.findall(r"^CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)[0]
    assert yaml.safe_load(command)[:2] == ["uvicorn", "app:app"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"fleetcache\[(\w+)\]", PAGE)) <= set(extras)


def test_the_servers_options_are_options_of_the_server(fresh_server: StartServer) -> None:
    program, *options = shlex.split(compose()["cache"]["command"])
    assert program == "valkey-server"
    server = fresh_server("tcp", *options)
    with server.client() as client:
        said = client("CONFIG", "GET", "maxmemory-policy")
    assert b"allkeys-lru" in (said.values() if isinstance(said, dict) else said)


def test_no_variable_that_the_page_names_has_a_slip() -> None:
    named = dict.fromkeys(re.findall(r"`(CACHE_\w+|REDIS_URL)\b", PAGE), "x")
    assert list(near_misses(named)) == []
