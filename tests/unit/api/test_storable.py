"""Functions whose results cannot be stored: reported at decoration if it is certain, else counted by name."""

import functools
import logging
from collections import abc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import django.http
import flask
import httpx
import litestar
import pytest
import starlette.responses

from fleetcache import Cache, ConfigError, Keep, NoStore, Settings, SyncCache
from fleetcache.contrib.flask import FleetCache
from tests.support.run import run

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers

threads: Any = SyncCache("memory://")
tasks: Any = Cache("memory://")
PICKLE: dict[str, Any] = {"driver": "memory", "codec": "pickle", "signing_keys": (b"k" * 32,)}


@dataclass
class User:
    name: str


@dataclass
class Response:
    """A user's own class, which can be stored."""

    name: str


def returning(kind: Any, face: Any) -> Callable[..., Any]:
    """Return a function of a face with that return annotation."""

    def load() -> Any: ...

    async def load_async() -> Any: ...

    load.__annotations__["return"] = load_async.__annotations__["return"] = kind
    return load if isinstance(face, SyncCache) else load_async


faces = pytest.mark.parametrize("face", [threads, tasks], ids=["threads", "tasks"])

# -- at decoration -----------------------------------------------------------------------------------------------------


@faces
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (abc.Coroutine[Any, Any, int], "returns a coroutine, which no codec can store"),
        (abc.Awaitable[int], "returns an awaitable"),
        (Iterator[int], "returns an iterator"),
        (abc.Generator[int, None, None], "returns a generator"),
        (AsyncIterator[int], "returns an async iterator"),
        (Iterator[int] | None, "returns an iterator"),
        (Annotated[Iterator[int], "noted"], "returns an iterator"),
        (starlette.responses.JSONResponse, r"returns a response \(starlette\.responses\.JSONResponse\)"),
        (flask.Response, r"returns a response \(flask\.wrappers\.Response\)"),
        (django.http.JsonResponse, "returns a response"),
        (litestar.Response, "returns a response"),
        (httpx.Response, "returns a response"),
    ],
)
def test_what_no_codec_can_carry_is_an_error(face: Any, kind: Any, said: str) -> None:
    function = returning(kind, face)
    with pytest.raises(ConfigError, match=f"@cached on .*load.*: it {said}.* return the data that it is made of"):
        face.cached(key="k")(function)
    with pytest.raises(ConfigError, match=said):
        face.namespace("n").cached(key="k", type=kind)(returning(User, face))
    pickling = type(face)(settings=Settings(**PICKLE))
    pickling.cached(key="k")(function)


@faces
@pytest.mark.parametrize(
    "kind",
    [User, Response, User | Response, Response | None, Iterator[int] | list[int], "NotYetThere", Any, abc.Iterable[int],
     NoStore[User], Keep[User] | NoStore[User], list[Any], None],
)  # fmt: skip
def test_what_may_be_stored_is_none(face: Any, kind: Any) -> None:
    face.cached(key="k")(returning(kind, face))


def test_a_function_that_yields_is_an_error() -> None:
    def rows() -> Iterator[int]:
        yield 1

    async def rows_async() -> AsyncIterator[int]:
        yield 1

    for face, function in ((threads, rows), (tasks, rows_async)):
        with pytest.raises(ConfigError, match=r"is a generator, .* return a list"):
            face.cached(key="rows")(function)

    @functools.wraps(rows)
    def listed() -> list[int]:
        return list(rows())

    assert threads.cached(key="listed")(listed)() == [1]


def test_of_a_flask_app_it_is_told_when_the_app_begins() -> None:
    extension = FleetCache()

    @extension.namespace("views").cached(key="view")
    def view() -> flask.Response:
        return flask.Response("hello")

    with pytest.raises(ConfigError, match="view: it returns a response"):
        extension.init_app(flask.Flask("plain"), url="memory://")
    app = flask.Flask("pickling")
    extension.init_app(app, **PICKLE)
    with app.app_context():
        assert view().data == b"hello"


# -- at the first result -----------------------------------------------------------------------------------------------


class Handle:
    """A class that no codec knows."""


def handle() -> Handle:
    return Handle()


async def handle_async() -> Handle:
    return Handle()


def test_functions_whose_results_were_not_stored_are_named_in_the_full_report() -> None:
    cache = SyncCache("memory://")
    for _ in range(2):
        cache.cached(key="handle")(handle)()
    cache.get_or_set("k", handle)
    cache.get_or_set("fine", lambda: 1)
    named = {f"{__name__}.handle": 3}
    assert cache.health().uncached == cache.stats().uncached_by == named
    assert cache.health().as_dict()["uncached"] == named
    assert "uncached" not in cache.health().brief()

    async def main() -> None:
        async with Cache("memory://") as ours:
            await ours.cached(key="handle")(handle_async)()
            await ours.get_or_set_many(["k"], many)
            assert (await ours.health()).uncached == {f"{__name__}.handle_async": 1, f"{__name__}.many": 1}

    run(main())


async def many(keys: list[str]) -> dict[str, Any]:
    return dict.fromkeys(keys, Handle())


def test_names_that_are_made_at_run_time_are_bounded() -> None:
    cache = SyncCache("memory://")
    for number in range(150):

        def load() -> Any:
            return Handle()

        load.__qualname__ = f"load{number}"
        cache.get_or_set("k", load)
    named = cache.health().uncached
    assert (len(named), named["others"], sum(named.values())) == (101, 50, 150)


class Row:
    """A class like SQLAlchemy's mapped classes."""

    __mapper__ = "the table"


class Out:
    """A class like Django's models."""

    _meta = "the table"


@pytest.mark.parametrize("value", [Row(), [Row()], {"row": Out()}])
def test_of_rows_the_error_says_the_next_step(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    cache = SyncCache("memory://")
    cache.get_or_set("k", lambda: value)
    assert "it is tied to its session" in caplog.text
    assert "Out.model_validate(row)" in caplog.text


# -- annotations with missing names ------------------------------------------------------------------------------------


def hidden() -> "OnlyForCheckers":
    return User("Ada")  # type: ignore[return-value]  # cannot be stored without a type


async def hidden_async() -> "list[OnlyForCheckers]":
    return [User("Ada")]  # type: ignore[list-item]  # as above


def misnamed() -> "functools.partail":  # type: ignore[name-defined]  # the case
    return 1


def played(face: Any, function: Any, **options: Any) -> None:
    cached = face.cached(key="k", **options)(function)
    if isinstance(face, SyncCache):
        cached()
        cached()
    else:

        async def main() -> None:
            await cached()
            await cached()

        run(main())


@pytest.mark.parametrize(
    ("face", "function", "name"),
    [
        (SyncCache, hidden, "names 'OnlyForCheckers', which does not exist at run time: import it"),
        (Cache, hidden_async, "names 'OnlyForCheckers', which does not exist at run time: import it"),
        (SyncCache, misnamed, "cannot be evaluated (AttributeError: module 'functools' has no attribute 'partail'"),
    ],
)
def test_the_name_that_is_not_there_is_told_at_the_first_call(
    face: Any, function: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    played(face("memory://"), function)
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [vars(record)["event"] for record in told] == ["unresolved"]
    assert name in told[0].message
    assert function.__name__ in told[0].message
    for record in caplog.records:
        assert name in record.message  # the message that a result is not kept also gives the reason
    caplog.clear()
    played(face("memory://"), function, type=User if function is hidden else list[User] if face is Cache else int)
    assert not caplog.records
    with pytest.raises(ConfigError, match=r"which does not exist|cannot be evaluated"):
        played(face("memory://", strict=True), function)


def test_a_loader_that_is_handed_over_tells_it_too(caplog: pytest.LogCaptureFixture) -> None:
    cache = SyncCache("memory://")
    cache.get_or_set("k", functools.partial(hidden))
    assert "names 'OnlyForCheckers'" in caplog.text
