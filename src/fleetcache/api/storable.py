"""Refuses functions whose results cannot be stored: at decoration, not by a log line in production.

Only types that no codec and no registered type can store are refused here. Other failures show at the first result.
"""

import asyncio
import inspect
import typing
from collections import abc
from types import AsyncGeneratorType, CoroutineType, GeneratorType, NoneType, UnionType
from typing import Any, Final

from ..errors import ConfigError
from ..format.registered_types import registered
from ..policy.return_types import annotated_type

__all__ = ["check_storable"]

# Types whose objects the first caller uses up.
_ONCE: Final = {
    abc.Coroutine: "a coroutine",
    CoroutineType: "a coroutine",
    abc.Awaitable: "an awaitable",
    asyncio.Future: "a future",
    asyncio.Task: "a task",
    abc.Generator: "a generator",
    GeneratorType: "a generator",
    abc.Iterator: "an iterator",
    abc.AsyncGenerator: "an async generator",
    AsyncGeneratorType: "an async generator",
    abc.AsyncIterator: "an async iterator",
    abc.AsyncIterable: "an async iterable",
}
# Base classes of the responses of frameworks and HTTP clients. They are listed by name, so that this module imports
# none of their packages.
_RESPONSES: Final = frozenset(
    {
        "starlette.responses.Response",
        "werkzeug.sansio.response.Response",
        "django.http.response.HttpResponseBase",
        "litestar.response.base.Response",
        "aiohttp.web_response.StreamResponse",
        "sanic.response.types.BaseHTTPResponse",
        "falcon.response.Response",
        "bottle.BaseResponse",
        "webob.response.Response",
        "httpx.Response",
        "aiohttp.client_reqrep.ClientResponse",
        "requests.models.Response",
        "http.client.HTTPResponse",
    }
)


def check_storable(name: str, function: Any, declared: Any, codec: str) -> None:
    """Refuse a function whose results can never be stored.

    Args:
        name: The function's name, for the error.
        function: The function under the decorator.
        declared: The declared type of the results; ``...``: the return annotation declares it.
        codec: The cache's codec. With ``pickle`` every function passes: that codec knows which values it can store.

    Raises:
        ConfigError: The results can never be stored. The message names their type and a type to return instead.
    """
    if codec == "pickle":
        return
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _refusal(name, "is a generator, whose items the first caller uses up", "a list")
    if declared is ...:
        # A decorator below may change the result, so the annotation of the function itself proves nothing.
        declared = Any if hasattr(function, "__wrapped__") else annotated_type(function)
    what = _never(declared)
    if what is not None:
        raise _refusal(name, f"returns {what}, which no codec can store", "the data that it is made of")


def _refusal(name: str, problem: str, instead: str) -> ConfigError:
    return ConfigError(f"@cached on {name}: it {problem}, so it would be called each time; return {instead}")


def _never(declared: Any) -> str | None:
    """Return a name for the values of a type if they can never be stored, else ``None``."""
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Union or origin is UnionType:
        found = [_never(member) for member in arguments if member is not NoneType]
        return found[0] if found and None not in found else None
    if origin is typing.Annotated:
        return _never(arguments[0])
    kind = origin or declared
    if not isinstance(kind, type):
        return None
    if kind in _ONCE:
        return _ONCE[kind]
    is_response = any(f"{base.__module__}.{base.__qualname__}" in _RESPONSES for base in kind.__mro__)
    if is_response and registered(kind) is None:
        return f"a response ({kind.__module__}.{kind.__qualname__})"
    return None
