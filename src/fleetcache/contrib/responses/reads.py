"""What an endpoint reads of a request, by its signature and those of its dependencies, as FastAPI understands them.

FastAPI is asked, not imitated, and only where an endpoint is one of its own: plain Starlette needs no FastAPI.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args

from msgspec import Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from fleetcache import ConfigError

from ..app_cache import get_cache

__all__ = ["REQUIRED", "Injected", "Reads", "reads_of"]

REQUIRED: Any = object()
"""In place of a default."""


class Reads(Struct, frozen=True):
    """What may decide an endpoint's answer.

    Attributes:
        own: Its own parameters of path, query and body, with their defaults, in their order.
        everything: It, or a dependency of it, takes the request itself.
        parameters: Names in path or query that dependencies read.
        whole_query: A dependency reads query parameters that only its model knows.
        headers: Names of header fields, lower case, read by it or by dependencies.
        cookies: Names of cookies, likewise.
        body: A dependency reads the body.
        api_keys: Place (``header``, ``query``, ``cookie``) and name of the keys that security schemes read.
    """

    own: dict[str, Any]
    everything: bool = False
    parameters: frozenset[str] = frozenset()
    whole_query: bool = False
    headers: frozenset[str] = frozenset()
    cookies: frozenset[str] = frozenset()
    body: bool = False
    api_keys: tuple[tuple[str, str], ...] = ()


def reads_of(function: Callable[..., Any]) -> Reads:
    """What a function reads, be it an endpoint of FastAPI or, by its one parameter, one of Starlette."""
    if _is_plain(function):
        return Reads({}, everything=True)
    try:
        from fastapi.dependencies.utils import get_dependant  # noqa: PLC0415 - only where FastAPI is used
    except ModuleNotFoundError as missing:
        raise ConfigError(
            f"{function.__qualname__}: an endpoint of Starlette takes the request alone; "
            "for others FastAPI is needed: pip install fleetcache[fastapi]"
        ) from missing
    return _described(get_dependant(path="/", call=function))


def _is_plain(function: Callable[..., Any]) -> bool:
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in {"self", "cls"}]
    if len(parameters) != 1:
        return False
    (only,) = parameters
    if only.annotation is inspect.Parameter.empty:
        return only.name == "request"
    return only.annotation in {"Request", "HTTPConnection"} or _is(only.annotation, HTTPConnection)


def _described(top: Any) -> Reads:
    others = list(_below(top))
    every = [top, *others]
    own = {field.name: _default(field) for field in (*top.path_params, *top.query_params, *top.body_params)}
    queries = [field for each in others for field in each.query_params]
    return Reads(
        own,
        everything=any(each.request_param_name or each.http_connection_param_name for each in every),
        parameters=frozenset(field.alias for each in others for field in (*each.path_params, *each.query_params)),
        whole_query=any(_model(field) for field in queries),
        headers=frozenset(name.lower() for each in every for field in each.header_params for name in _headers(field)),
        cookies=frozenset(name for each in every for field in each.cookie_params for name in _names(field)),
        body=any(each.body_params for each in others),
        api_keys=tuple(found for scheme in _schemes(top) if (found := _api_key(scheme))),
    )


def _below(dependant: Any) -> Iterator[Any]:
    """All dependencies whose declarations say what they read."""
    for each in dependant.dependencies:
        if each.call is get_cache or type(each.call).__module__.startswith("fastapi.security."):
            continue  # they take the request, and what they read of it is known
        yield each
        yield from _below(each)


def _schemes(dependant: Any) -> Iterator[Any]:
    """All security schemes, also those of a user's own class, which may read more than their keys."""
    from fastapi.security.base import SecurityBase  # noqa: PLC0415 - there is a dependant of it, so it is there

    for each in dependant.dependencies:
        if isinstance(each.call, SecurityBase):
            yield each.call
        yield from _schemes(each)


def _api_key(scheme: Any) -> tuple[str, str] | None:
    """Where the scheme finds its key; ``None``: in ``Authorization``."""
    where = getattr(scheme.model, "in_", None)
    return None if where is None else (getattr(where, "value", where), scheme.model.name)


def _default(field: Any) -> Any:
    return REQUIRED if field.field_info.is_required() else field.field_info.get_default(call_default_factory=True)


def _model(field: Any) -> Any:
    """The pydantic model that stands for several parameters, if it is one."""
    annotation = field.field_info.annotation
    return next((each for each in (annotation, *get_args(annotation)) if hasattr(each, "model_fields")), None)


def _names(field: Any) -> list[str]:
    model = _model(field)
    if model is None:
        return [field.alias]
    return [inner.alias or name for name, inner in model.model_fields.items()]


def _headers(field: Any) -> list[str]:
    return _names(field) if _model(field) is None else [name.replace("_", "-") for name in _names(field)]


def _is(annotation: Any, kind: type) -> bool:
    annotation = getattr(annotation, "__origin__", annotation)
    return isinstance(annotation, type) and issubclass(annotation, kind)


class Injected:
    """The request, and FastAPI's response, as parameters of an endpoint that may have none of its own.

    Attributes:
        signature: As FastAPI is to see it: annotations resolved, where they can be; with what was missing.
        request: The name of the parameter for the request.
        response: The name of that for the response.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        names = getattr(inspect.unwrap(function), "__globals__", {})
        signature = inspect.signature(function)
        parameters = [p.replace(annotation=_resolved(p.annotation, names)) for p in signature.parameters.values()]
        self._hidden: list[str] = []
        self.request = self._found(parameters, Request, "fleetcache_request")
        self.response = self._found(parameters, Response, "fleetcache_response")
        variadic = [p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
        parameters = [p for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
        for name, kind in ((self.request, Request), (self.response, Response)):
            if name in self._hidden:
                parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind))
        returns = _resolved(signature.return_annotation, names)
        self.signature = signature.replace(parameters=[*parameters, *variadic], return_annotation=returns)

    def _found(self, parameters: list[inspect.Parameter], kind: type, hidden: str) -> str:
        for parameter in parameters:
            if _is(parameter.annotation, kind):
                return parameter.name
        self._hidden.append(hidden)
        return hidden

    def plain(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the function itself takes."""
        return {name: value for name, value in kwargs.items() if name not in self._hidden}


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)  # noqa: S307 - what inspect does with eval_str, one by one: some name what is for type checkers only
    except (NameError, SyntaxError, TypeError, AttributeError):
        return annotation
