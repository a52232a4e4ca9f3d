"""Options in the wrong place, or by a wrong name: the error gives the right spelling; ``help()`` lists the options."""

import inspect
import pydoc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleetcache import Cache, ConfigError, Settings, SyncCache
from fleetcache.contrib.flask import FleetCache
from tests.support.run import run

threads: Any = SyncCache("memory://")
tasks: Any = Cache("memory://")
extension: Any = FleetCache()
faces = pytest.mark.parametrize("cache", [threads, tasks], ids=["threads", "tasks"])


def played(call: Callable[[], Any]) -> None:
    """Make a call, and await its result if it is awaitable."""
    answer = call()
    if inspect.isawaitable(answer):

        async def main() -> Any:
            return await answer

        run(main())


def load(*_: Any) -> Any:
    raise AssertionError("nothing is loaded")


@faces
@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        (
            "set",
            ("k", 1, 60),
            r"set\(\) takes its options by name, as in ttl=60; they are ttl, stale, tags, type, strict",
        ),
        ("set", ("k", 1, "5m"), "as in ttl='5m'"),
        ("set", ("k", 1, timedelta(minutes=5)), r"as in ttl=datetime\.timedelta"),
        ("set", ("k", 1, int), "as in type=a value of type type"),
        ("set", ("k", 1, None), "by name; they are ttl"),
        ("set_many", ({"k": 1}, 60), r"set_many\(\) .* ttl=60"),
        ("add", ("k", 1, 60), r"add\(\) .* ttl=60"),
        ("incr", ("k", 1, 60), r"incr\(\) .* ttl=60; they are ttl, create"),
        (
            "get_or_set",
            ("k", load, 60),
            r"get_or_set\(\) .* ttl=60; they are ttl, stale, tags, type, early, load_timeout",
        ),
        ("get_or_set", ("k", load, ["users"]), "as in tags="),
        ("refresh", ("k", load, 60), r"refresh\(\) .* ttl=60"),
        ("get_or_set_many", (["k"], load, 60), r"get_or_set_many\(\) .* ttl=60"),
        ("claim", ("k", "5s"), r"claim\(\) .* ttl='5s'; they are ttl, wait"),
        ("namespace", ("users", "5m"), r"namespace\(\) .* ttl='5m'"),
        ("cached", (load, "5m"), r"cached\(\) .* ttl='5m'; they are ttl, key, stale"),
    ],
)
def test_an_option_that_was_not_given_by_name_is_an_error_that_names_it(
    cache: Any, verb: str, arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        played(lambda: getattr(cache, verb)(*arguments))
    with pytest.raises(TypeError, match=said):
        played(lambda: getattr(cache.namespace("n"), verb)(*arguments))


@pytest.mark.parametrize("cache", [threads, tasks, extension, threads.aio], ids=["threads", "tasks", "flask", "aio"])
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda cache: cache.cached(ttls=5),
            r"ttls is not a known option of cached\(\), perhaps ttl was meant; accepted",
        ),
        (lambda cache: cache.cached(load, tag=("a",)), "perhaps tags was meant"),
        (lambda cache: cache.cached(load, "5m"), r"cached\(\) takes its options by name, as in ttl='5m'"),
        (
            lambda cache: cache.namespace("n", ttls=5),
            r"ttls is not a known option of namespace\(\), perhaps ttl was meant",
        ),
        (lambda cache: cache.namespace("n", "5m"), r"namespace\(\) takes its options by name, as in ttl='5m'"),
    ],
)
def test_an_option_of_a_decorator_or_namespace_that_there_is_not_is_an_error_that_names_the_one_meant(
    cache: Any, call: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        call(cache)


@pytest.mark.parametrize("cache", [threads, tasks, extension, threads.aio], ids=["threads", "tasks", "flask", "aio"])
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("5m", r"cached\('5m'\): options are given by name, as in @cached\(ttl='5m'\)"),
        (300, r"@cached\(ttl=300\)"),
        (timedelta(hours=1), r"@cached\(ttl=datetime"),
        ("user:{id}", r"@cached\(key='user:{id}'\)"),
    ],
)
def test_an_option_in_the_place_of_the_function_is_an_error_that_names_it(cache: Any, option: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        cache.cached(option)


@pytest.mark.parametrize(
    "make",
    [
        lambda **names: Cache("memory://", **names),
        lambda **names: SyncCache("redis://cache.invalid", **names),
        lambda **names: Cache.from_env({}, **names),
        lambda **names: Settings.from_env({}, **names),
        lambda **names: Settings.from_url("null://", **names),
    ],
)
def test_a_setting_that_there_is_not_is_an_error_that_names_the_one_meant(make: Callable[..., Any]) -> None:
    with pytest.raises(
        TypeError, match=r"ttls is not a known setting, perhaps ttl was meant; accepted: codec, .*ttl"
    ) as told:
        make(ttls="hunter2")
    assert "hunter2" not in str(told.value)
    with pytest.raises(TypeError, match="zzz is not a known setting; accepted"):
        make(zzz=5)


@faces
@pytest.mark.parametrize("verb", ["get_or_set", "refresh", "set", "set_many", "add", "get_or_set_many", "cached"])
def test_help_shows_the_options_and_nothing_else(cache: Any, verb: str) -> None:
    method = getattr(cache, verb)
    parameters = inspect.signature(method).parameters
    assert {"ttl", "stale", "tags", "type"} <= parameters.keys()
    assert not any(
        parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD} for parameter in parameters.values()
    )
    shown = pydoc.plain(pydoc.render_doc(method))
    assert "ttl: " in shown
    assert "_others" not in shown


def test_both_faces_show_the_same() -> None:
    for name in dir(SyncCache):
        verb = getattr(SyncCache, name)
        if name.startswith("_") or not inspect.isfunction(verb) or not hasattr(Cache, name):
            continue
        assert list(inspect.signature(verb).parameters) == list(inspect.signature(getattr(Cache, name)).parameters), (
            name
        )


# -- public words that changed ---------------------------------------------------------------------------------------


async def _reports() -> dict[str, Any]:
    async with Cache("memory://") as cache:
        await cache.set("k", 1)
        return {"Health": cache.status_now(), "Stats": cache.stats(), "Explanation": await cache.explain("k")}


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [
        ("Health", "at_stake", "impact"),
        ("Health", "horizon_age", "last_reply_age"),
        ("Stats", "pushes", "invalidations"),
        ("Stats", "own_pushes", "self_invalidations"),
        ("Stats", "null_pushes", "flush_invalidations"),
        ("Explanation", "unbacked", "unconfirmed"),
        ("Explanation", "owed", "pending_removal"),
    ],
)
def test_an_earlier_name_answers_with_a_warning(owner: str, old: str, new: str) -> None:
    report = run(_reports())[owner]
    with pytest.warns(DeprecationWarning, match=f"^{owner}.{old} is called {new} now$"):
        said = getattr(report, old)
    assert said == getattr(report, new)
    if owner != "Stats":
        assert old not in report.as_dict()
        assert new in report.as_dict()
