"""The decorator: the function that it returns, and the options that it refuses."""

import inspect
import re
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel

from fleetcache import Cache, ConfigError
from fleetcache.contrib.fastapi import cached_response
from tests.support.run import run


class User(BaseModel):
    id: int
    calls: int


def test_the_function_keeps_its_name_signature_and_documentation() -> None:
    app = FastAPI()

    @app.get("/users/{user_id}")
    @cached_response(Cache("memory://"))
    def user(user_id: int) -> User:
        return User(id=user_id, calls=1)

    operation = app.openapi()["paths"]["/users/{user_id}"]["get"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["user_id"]
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/User")
    assert operation["summary"] == "User"

    @cached_response(Cache("memory://"))
    async def documented(n: int, request: Request | None, kind: Annotated[str, "any"] = "x") -> str:
        """Say it."""
        return kind * n if request is None else ""

    assert (documented.__name__, documented.__doc__) == ("documented", "Say it.")
    assert run(documented(2, None)) == "xx"  # a plain call, without a request


def test_wrong_use_is_told_at_the_decorator() -> None:
    async def stream() -> Any:
        yield b""

    class Endpoint:
        pass

    with pytest.raises(ConfigError, match="never stored"):
        cached_response(Cache("memory://"))(stream)
    with pytest.raises(ConfigError, match="below the decorator of the route"):
        cached_response(Cache("memory://"))(Endpoint)
    with pytest.raises(ConfigError, match=r"options by name: @cached_response\(ttl=...\)"):
        cached_response(stream)  # type: ignore[arg-type] # the mistake


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda cache, make: make(cache, "5m"),
            r"cached_response\(\) takes its options by name, as in ttl='5m'; they are ttl",
        ),
        (lambda cache, make: make(cache, 300), "as in ttl=300; they are ttl, stale, tags"),
        (lambda cache, make: make(cache, timedelta(hours=1)), r"as in ttl=datetime\.timedelta"),
        (lambda _, make: make(None, ("users",)), r"as in tags=\('users',\)"),
        (lambda cache, make: make(cache, object()), "by name; they are ttl"),
        (
            lambda cache, make: make(cache, ttls=5),
            r"ttls is not a known option of cached_response\(\), perhaps ttl was meant",
        ),
        (lambda _, make: make(varys=("Accept",)), "perhaps vary was meant; accepted: ttl, stale, tags"),
        (lambda _, make: make(zzz=5), r"zzz is not a known option of cached_response\(\); accepted: ttl"),
    ],
)
def test_an_option_in_the_wrong_place_or_of_a_wrong_name_is_an_error_that_names_it(call: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call(Cache("memory://"), cached_response)


@pytest.mark.parametrize(
    ("option", "shown"), [("5m", "ttl='5m'"), (300, "ttl=300"), ("redis://cache", "ttl=..."), (True, "ttl=...")]
)
def test_an_option_in_the_place_of_the_cache_is_an_error_that_names_it(option: Any, shown: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"options by name: @cached_response({shown})")):
        cached_response(option)


def test_help_shows_the_options_and_nothing_else() -> None:
    kinds = {parameter.kind for parameter in inspect.signature(cached_response).parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("option", "value", "choices"),
    [
        ("ttl", "soon", 'accepted: seconds as int or float, timedelta, or text such as "250ms"'),
        ("stale", -1, "must not be negative"),
        ("offline_ttl", "x", "is not a duration"),
        ("max_age", 0, "must be more than zero"),
        ("authorization", "yes", "accepted: bypass, key, ignore"),
        ("cookies", True, "accepted: bypass, key, ignore, or names of cookies"),
        ("cookies", "session", 'or names of cookies such as ("session",)'),
        ("cookies", ("",), "several of str"),
        ("set_cookie", "keep", "accepted: bypass, strip"),
        ("statuses", (200, 304), "never 206 and 304"),
        ("statuses", (), "never 206 and 304"),
        ("methods", ("HEAD",), "HEAD is answered from what GET has stored"),
        ("vary", ("*",), "names of request headers"),
        ("vary", "Accept", "several of str"),
        ("query", "page", "several of str"),
        ("tags", (1,), "several of str"),
        ("max_bytes", 0, "a number of bytes"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_the_choices(option: str, value: Any, choices: str) -> None:
    with pytest.raises(ConfigError) as told:
        cached_response(Cache("memory://"), **{option: value})
    assert str(told.value).startswith(f"cached_response: {option}")
    assert choices in str(told.value)
    shown = value[0] if option == "tags" or value == ("",) else sorted(value) if option == "statuses" else value
    assert repr(shown) in str(told.value)
