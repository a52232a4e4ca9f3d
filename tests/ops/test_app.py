"""The routes, on the memory driver: statuses, methods, words, and the details that no answer shows."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from fleetcache import Cache, ConfigError
from fleetcache.ops import Check, OpsApp
from tests.ops.probing import client, lifespan, raw
from tests.support.run import run

HEALTH = ("/readyz", "/ready", "/healthz", "/health")
ROUTES = ("/livez", "/live", *HEALTH, "/metrics")


async def fine() -> str:
    return "3 replicas"


async def broken() -> None:
    raise ConnectionError("cannot reach db-7.internal with password hunter2")


async def get(app: Any, path: str) -> tuple[int, Any]:
    async with client(app) as http:
        response = await http.get(path)
        return response.status_code, response.json()


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_answers_get_and_head_and_nothing_else(path: str) -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            app = OpsApp(cache)
            status, headers, body = await raw(app, "GET", path)
            assert (status, headers["cache-control"], headers["content-length"]) == (200, "no-store", str(len(body)))
            status, headers, body = await raw(app, "HEAD", path)
            assert (status, headers["cache-control"], body) == (200, "no-store", b"")
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                status, headers, _ = await raw(app, method, path)
                assert (status, headers["cache-control"]) == (405, "no-store")
                assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}

    run(scene())


def test_an_unknown_path_is_404_and_not_stored_either() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            status, headers, _ = await raw(OpsApp(cache), "GET", "/")
            assert (status, headers["cache-control"]) == (404, "no-store")

    run(scene())


def test_brief_shows_five_words_and_the_names_of_checks() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            _, body = await get(OpsApp(cache, checks={"database": fine}), "/healthz")
            since = body.pop("since")
            assert since.endswith("+00:00")
            assert body == {
                "status": "healthy",
                "driver": "memory",
                "active": "memory",
                "reason": None,
                "checks": {"database": {"status": "ok"}},
            }

    run(scene())


def test_full_shows_all_of_health_and_of_the_checks() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            _, body = await get(OpsApp(cache, checks={"database": fine}, detail="full"), "/healthz")
            assert (await cache.health()).as_dict().keys() | {"checks"} == body.keys()
            check = body["checks"]["database"]
            assert check.pop("took_ms") >= 0
            assert check == {"status": "ok", "critical": True, "detail": "3 replicas", "error": None}

    run(scene())


@pytest.mark.parametrize(("critical", "code", "status"), [(True, 503, "unhealthy"), (False, 200, "degraded")])
def test_a_failing_check_counts_by_whether_it_is_critical(critical: bool, code: int, status: str) -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            app = OpsApp(cache, checks={"database": Check(broken, critical=critical), "mail": fine})
            for path in HEALTH:
                answered, body = await get(app, path)
                assert (answered, body["status"]) == (code, status)
                assert body["checks"] == {"database": {"status": "failed"}, "mail": {"status": "ok"}}
            assert (await get(app, "/readyz"))[1]["because"] == ("unhealthy" if critical else None)
            assert await get(app, "/livez") == (200, {"status": "alive"})

    run(scene())


def test_what_an_exception_says_is_never_shown() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            for detail in ("brief", "full"):
                app = OpsApp(cache, checks={"database": broken}, detail=detail)
                _, _, body = await raw(app, "GET", "/healthz")
                assert b"hunter2" not in body
                assert b"db-7" not in body
                assert (b"ConnectionError" in body) == (detail == "full")

    run(scene())


def test_whatever_a_check_says_can_be_sent() -> None:
    async def odd() -> str:
        return "half a surrogate: \ud800"

    async def scene() -> None:
        async with Cache("memory://") as cache:
            _, body = await get(OpsApp(cache, checks={"odd": odd}, detail="full"), "/healthz")
            assert body["checks"]["odd"]["detail"] == "half a surrogate: \ud800"

    run(scene())


def test_two_hundred_probes_at_once_run_a_check_once() -> None:
    async def scene() -> None:
        calls = 0

        async def count() -> None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0)

        async with Cache("memory://") as cache:
            app = OpsApp(cache, checks={"count": count})
            async with client(app) as http:
                answers = await asyncio.gather(*(http.get(HEALTH[i % 4]) for i in range(200)))
        assert {answer.status_code for answer in answers} == {200}
        assert calls == 1

    run(scene())


class Untouchable:
    """A cache that fails at any use."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"live asked for {name}")


def test_live_looks_at_nothing() -> None:
    async def scene() -> None:
        app = OpsApp(Untouchable(), checks={"never": broken})
        assert await get(app, "/livez") == (200, {"status": "alive"})
        with pytest.raises(AssertionError, match="live asked for health"):
            await get(app, "/healthz")

    run(scene())


def test_a_closed_cache_is_unhealthy_not_ready_and_alive() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            app = OpsApp(cache)
        code, body = await get(app, "/healthz")
        assert (code, body["status"], body["reason"]) == (503, "unhealthy", "closed")
        code, body = await get(app, "/readyz")
        assert (code, body["ready"], body["because"]) == (503, False, "shutting_down")
        assert (await get(app, "/livez"))[0] == 200

    run(scene())


def test_ready_is_withdrawn_when_the_app_says_that_it_ends_and_no_check_is_asked_any_more() -> None:
    async def scene() -> None:
        calls = 0

        async def count() -> None:
            nonlocal calls
            calls += 1

        async with Cache("memory://") as cache:
            assert (await get(OpsApp(cache, checks={"count": count}), "/readyz"))[0] == 200
            assert calls == 1
            app = OpsApp(cache, checks={"count": count})
            app.shutting_down()
            code, body = await get(app, "/readyz")
            assert (code, body["because"], body["status"]) == (503, "shutting_down", "healthy")
            assert calls == 1
            assert (await get(app, "/healthz"))[0] == 200
            assert (await get(app, "/livez"))[0] == 200

    run(scene())


def test_run_alone_the_end_of_the_lifespan_withdraws_ready() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            app = OpsApp(cache)
            async with lifespan(app):
                assert (await get(app, "/readyz"))[0] == 200
            assert (await get(app, "/readyz"))[0] == 503
            async with lifespan(app):  # started again
                assert (await get(app, "/readyz"))[0] == 200

    run(scene())


def test_mounted_under_a_prefix() -> None:
    async def scene() -> None:
        async with Cache("memory://") as cache:
            app = Starlette(routes=[Mount("/internal", routes=[Mount("/ops", OpsApp(cache))])])
            async with client(app) as http:
                for path in ROUTES:
                    assert (await http.get(f"/internal/ops{path}")).status_code == 200
                    assert (await http.get(path)).status_code == 404
                refused = await http.post("/internal/ops/livez")
                assert (refused.status_code, refused.headers["cache-control"]) == (405, "no-store")

    run(scene())


@pytest.mark.parametrize("detail", ["", "FULL", "secret", None, True, 1, ["brief"]])
def test_an_unknown_detail_is_refused(detail: Any) -> None:
    with pytest.raises(ConfigError, match=r"detail = .* is unknown; accepted: brief, full"):
        OpsApp(Cache("memory://"), detail=detail)


@pytest.mark.parametrize("absent", ["starlette", "prometheus_client"])
def test_without_the_extra_the_error_says_what_to_install(absent: str) -> None:
    code = f"import sys; sys.modules[{absent!r}] = None; import fleetcache; import fleetcache.ops"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.returncode == 1
    assert "pip install fleetcache[ops]" in ended.stderr.splitlines()[-1]
    assert absent in ended.stderr.splitlines()[-1]


def test_the_core_does_not_import_the_extra() -> None:
    code = "import sys, fleetcache; print(sorted({'starlette', 'prometheus_client'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.stdout.strip() == "[]"
