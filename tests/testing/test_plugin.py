"""The pytest plugin, as users run it: whole pytest runs over a small app with one cache made at import."""

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from fleetcache.engine.engine import _ENGINES, FROM_ENV, ON_FROM_ENV
from tests.testing.inner import APP, INI

pytest_plugins = ["pytester"]

# An unreachable server: the health of a cache that used it would show it.
NOWHERE = "redis://cache.invalid:1"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The app, in an environment that names a server."""
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    monkeypatch.setenv("CACHE_PREFIX", "shop")
    monkeypatch.syspath_prepend(pytester.path)
    pytester.makepyfile(app=APP)
    return pytester


def outcomes(project: pytest.Pytester, *options: str, fresh: bool, **files: str) -> dict[str, int]:
    """Run tests of the app in this process, and return their outcomes."""
    project.makeini(INI.format(fresh=str(fresh).lower()))
    project.makepyfile(**files)
    return project.runpytest_inprocess(*options).parseoutcomes()


EVERY_TEST_BEGINS_EMPTY = """
    import asyncio

    import pytest
    from starlette.testclient import TestClient

    import app


    @pytest.fixture
    def client():
        with TestClient(app.app) as client:
            yield client


    @pytest.fixture(scope="module")
    def lasting():
        with TestClient(app.app) as client:
            yield client


    @pytest.fixture(autouse=True)
    def none_asked():
        app.asked.clear()


    @pytest.mark.parametrize("_time", range(2))
    def test_sync_with_a_client_of_its_own(_time, client):
        assert [client.get("/pear").json() for _ in range(2)] == [1, 1]


    @pytest.mark.parametrize("_time", range(2))
    def test_sync_with_a_client_of_the_module(_time, lasting):
        assert [lasting.get("/pear").json() for _ in range(2)] == [1, 1]


    @pytest.mark.parametrize("_time", range(2))
    def test_on_a_loop_of_its_own(_time):
        async def main():
            return [await app.price("pear") for _ in range(2)]

        assert asyncio.run(main()) == [1, 1]


    @pytest.mark.anyio
    @pytest.mark.parametrize("_time", range(2))
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async(_time):
        assert [await app.price("pear") for _ in range(2)] == [1, 1]


    def test_an_app_started_twice():
        for number in (1, 2):
            with TestClient(app.app) as client:
                assert client.get("/pear").json() == number


    def test_no_server_is_asked_and_programming_errors_raise(client):
        assert client.get("/health").json() == ["healthy", "memory"]
        assert app.cache.settings.strict
"""


def test_every_test_begins_empty_if_the_ini_file_says_so(project: pytest.Pytester) -> None:
    assert outcomes(project, fresh=True, test_app=EVERY_TEST_BEGINS_EMPTY) == {"passed": 10}


def test_otherwise_tests_see_what_others_left(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL")
    assert outcomes(project, "--tb=no", fresh=False, test_app=EVERY_TEST_BEGINS_EMPTY).get("failed", 0) >= 5


def test_two_modules_may_each_start_the_app_once(project: pytest.Pytester) -> None:
    text = """
        import pytest
        from starlette.testclient import TestClient

        import app


        @pytest.fixture(scope="module")
        def client():
            with TestClient(app.app) as client:
                yield client


        def test(client):
            app.asked.clear()
            assert client.get("/pear").json() == 1
    """
    assert outcomes(project, fresh=True, test_one=text, test_two=text) == {"passed": 2}


def test_one_test_can_ask_for_it(project: pytest.Pytester) -> None:
    found = outcomes(
        project,
        fresh=False,
        test_app="""
            import asyncio

            import app


            def test_fresh(fresh_caches):
                assert app.cache.settings.driver == "memory"
                assert asyncio.run(app.price("pear")) == 1


            def test_as_the_environment_says():
                assert app.cache.settings.resolved_driver == "redis"
        """,
    )
    assert found == {"passed": 2}


def test_one_test_can_do_without(project: pytest.Pytester) -> None:
    found = outcomes(
        project,
        fresh=True,
        test_app="""
            import pytest

            import app


            def test_fresh():
                assert app.cache.settings.driver == "memory"


            @pytest.mark.fleetcache_real
            def test_as_the_environment_says():
                assert app.cache.settings.resolved_driver == "redis"
                assert app.cache.settings.url == "redis://cache.invalid:1"
        """,
    )
    assert found == {"passed": 2}


def test_which_caches_are_the_apps(project: pytest.Pytester) -> None:
    """Caches made at import, and those from the environment; a cache that a test makes with a URL is the test's own."""
    found = outcomes(
        project,
        fresh=True,
        conftest="""
            from fleetcache import Cache

            by_url = Cache("redis://cache.invalid:1", prefix="at-import")
        """,
        test_app="""
            import pytest

            from conftest import by_url
            from fleetcache import Cache


            @pytest.fixture(scope="session")
            def factory_made():
                return Cache.from_env(ttl="1h")


            @pytest.fixture(scope="session")
            def own():
                return Cache("redis://cache.invalid:1", prefix="own")


            @pytest.mark.parametrize("_time", range(2))
            def test_it(_time, factory_made, own):
                assert by_url.settings.driver == "memory"
                assert factory_made.settings.driver == "memory"
                assert factory_made.settings.ttl == 3600
                assert Cache.from_env().settings.driver == "memory"
                assert own.settings.driver == "redis"
                assert Cache.from_env({"REDIS_URL": "redis://cache.invalid:1"}).settings.url is not None
        """,
    )
    assert found == {"passed": 2}


def test_the_clock_moves_the_apps_caches(project: pytest.Pytester) -> None:
    found = outcomes(
        project,
        fresh=True,
        test_app="""
            import asyncio

            import app


            def test_it(cache_clock):
                async def main():
                    await app.price("pear")
                    cache_clock.advance("9m59s")
                    await app.price("pear")
                    assert app.asked == ["pear"]
                    cache_clock.advance("2s")
                    await app.price("pear")
                    assert app.asked == ["pear", "pear"]

                asyncio.run(main())


            def test_a_server_has_its_own_time(cache_clock, cache_server):
                pass
        """,
    )
    assert found == {"passed": 1, "errors": 1}


def test_nothing_of_it_is_left(project: pytest.Pytester) -> None:
    outcomes(project, fresh=True, test_app="import app\n\ndef test_it(fresh_caches):\n    pass\n")
    assert all(engine.override is None for engine in [*_ENGINES, *FROM_ENV])
    assert ON_FROM_ENV == []


def test_unused_it_costs_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "_fleetcache_pytest" in sys.modules
            assert "fleetcache" not in sys.modules
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "_fleetcache_pytest", "-p", "no:cacheprovider"]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # another plugin may use the package
    run = subprocess.run(  # noqa: S603 - pytest itself
        command, cwd=pytester.path, env=alone, check=False, capture_output=True
    )
    assert run.returncode == 0, run.stdout.decode()


def test_pytest_finds_it_where_the_package_is_installed() -> None:
    assert [each.value for each in entry_points(group="pytest11", name="fleetcache")] == ["_fleetcache_pytest"]
