"""The pytest plugin over a cache of threads: every test begins with an empty one, too."""

import pytest

from tests.testing.inner import INI

pytest_plugins = ["pytester"]

TESTS = """
    import threading

    import pytest

    from fleetcache import SyncCache

    cache = SyncCache.from_env()
    asked = []


    @cache.cached(key="price:{item}")
    def price(item):
        asked.append(item)
        return len(asked)


    @pytest.mark.parametrize("_time", range(2))
    def test_empty(_time):
        asked.clear()
        assert [price("pear") for _ in range(2)] == [1, 1]
        assert asked == ["pear"]


    def test_in_another_thread():
        asked.clear()
        thread = threading.Thread(target=price, args=("pear",))
        thread.start()
        thread.join()
        assert asked == ["pear"]
"""


@pytest.fixture
def outcomes(
    request: pytest.FixtureRequest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """Run these tests, and return their outcomes."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    pytester.makeini(INI.format(fresh=str(request.param).lower()))
    pytester.makepyfile(test_app=TESTS)
    return pytester.runpytest_inprocess("--tb=no").parseoutcomes()


@pytest.mark.parametrize("outcomes", [True], indirect=True)
def test_every_test_begins_empty_if_the_ini_file_says_so(outcomes: dict[str, int]) -> None:
    assert outcomes == {"passed": 3}


@pytest.mark.parametrize("outcomes", [False], indirect=True)
def test_otherwise_tests_see_what_others_left(outcomes: dict[str, int]) -> None:
    assert outcomes == {"passed": 1, "failed": 2}
