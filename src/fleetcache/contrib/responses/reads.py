"""The parts of a request that an endpoint reads, by its signature and those of its dependencies.

FastAPI itself parses the signatures, and only those of FastAPI endpoints: plain Starlette needs no FastAPI.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Annotated, Any, get_args

from msgspec import Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from fleetcache import ConfigError

from ..lifespan import get_cache
from .recording import record
from .views import ALL_COOKIES, ALL_HEADERS

__all__ = ["REQUIRED", "Injected", "Reads", "reads_of"]

REQUIRED: Any = object()
"""Stands for the default of a required parameter."""

Overrides = Mapping[Any, Callable[..., Any]]

_KNOWN = (get_cache, record)
_SELVES = frozenset({"self", "cls"})


class Reads(Struct, frozen=True):
    """Parts of a request that may decide an endpoint's answer.

    Attributes:
        own: The endpoint's own parameters of path, query and body, with their defaults, in their order.
        everything: The endpoint, or a dependency of it, takes the request itself.
        behind: Names all dependencies of app, router and route, which may decide by a context variable; empty without
            any.
        unseen: Dependencies of app, router and route that take the request, as ``depends.NAME``. FastAPI solves them
            before the recorder, so their reads are not recorded.
        parameters: Names in path or query that dependencies read.
        whole_query: A dependency reads query parameters by a model, whose names only the model knows.
        headers: Names of header fields, lower case, read by the endpoint or by dependencies.
        cookies: Names of cookies, likewise.
        whole: ``headers`` or ``cookies``, where a declared model takes all of them, whatever their names.
        body: A dependency reads the body.
        api_keys: Place (``header``, ``query``, ``cookie``) and name of the keys that security schemes read.
    """

    own: dict[str, Any]
    everything: bool = False
    behind: str = ""
    unseen: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    whole_query: bool = False
    headers: frozenset[str] = frozenset()
    cookies: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    body: bool = False
    api_keys: tuple[tuple[str, str], ...] = ()


def reads_of(function: Callable[..., Any], overrides: Overrides, route: Any = None) -> Reads:
    """Return the parts of a request that decide an endpoint's answer, by all declarations on its route.

    A function with the request as its only parameter is an endpoint of Starlette, any other is one of FastAPI.

    Args:
        function: The endpoint.
        overrides: The app's ``dependency_overrides``.
        route: The route, which also has the dependencies of app and routers. ``None``: the endpoint's own alone.
    """
    first, path = _earlier(route), getattr(route, "path_format", "")
    if _is_plain(function):
        return _described(None, first, overrides, path)
    try:
        from fastapi.dependencies.utils import get_dependant  # noqa: PLC0415 - only where FastAPI is used
    except ModuleNotFoundError as missing:
        raise ConfigError(
            f"{function.__qualname__}: an endpoint of Starlette takes the request alone; "
            "for others FastAPI is needed: pip install fleetcache[fastapi]"
        ) from missing
    return _described(get_dependant(path="/", call=function), first, overrides, path)


def _earlier(route: Any) -> list[Any]:
    """Return the dependencies of app, routers and route, which FastAPI solves before the recorder."""
    dependencies = getattr(getattr(route, "dependant", None), "dependencies", ())
    return list(takewhile(lambda each: each.call is not record, dependencies))


def _takes_request(dependant: Any) -> bool:
    return bool(dependant.request_param_name or dependant.http_connection_param_name)


def _name(call: Any) -> str:
    return str(getattr(call, "__qualname__", type(call).__qualname__))


def _identity(call: Any, path: str) -> str:
    """Return a text for a dependency, the same in every process; with the path where several may have its name."""
    name = getattr(call, "__qualname__", "")
    where = path if not name or "<" in name or inspect.ismethod(call) else ""
    return f"{getattr(call, '__module__', '')}.{_name(call)}{where}"


def _is_plain(function: Callable[..., Any]) -> bool:
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in _SELVES]
    if len(parameters) != 1:
        return False
    (only,) = parameters
    if only.annotation is inspect.Parameter.empty:
        return only.name == "request"
    if isinstance(only.annotation, str):
        return only.annotation in {"Request", "HTTPConnection"}
    return _is(only.annotation, HTTPConnection)


def _described(top: Any, first: list[Any], overrides: Overrides, path: str) -> Reads:
    """Return the reads of an endpoint (``None``: one of Starlette) below the dependencies ``first`` of a path."""
    earlier = list(_below(first, overrides))
    tops = [] if top is None else [top]
    dependencies = [each for one in tops for each in one.dependencies]
    below = list(_below(dependencies, overrides))
    others = [*earlier, *below]
    every = [*tops, *others]
    own = [field for each in tops for field in (*each.path_params, *each.query_params, *each.body_params)]
    queries = [field for each in others for field in each.query_params]
    return Reads(
        {field.name: _default(field) for field in own},
        everything=top is None or any(map(_takes_request, [*tops, *below])),
        behind=",".join(_identity(each.call, path) for each in earlier),
        unseen=frozenset(f"depends.{_name(each.call)}" for each in earlier if _takes_request(each)),
        parameters=frozenset(
            name for each in others for f in (*each.path_params, *each.query_params) for name in _names(f)
        ),
        whole_query=any(_models(field) for field in queries),
        headers=frozenset(name.lower() for each in every for field in each.header_params for name in _headers(field)),
        cookies=frozenset(name for each in every for field in each.cookie_params for name in _names(field)),
        whole=frozenset(
            [ALL_HEADERS for each in every for field in each.header_params if _is_open(field)]
            + [ALL_COOKIES for each in every for field in each.cookie_params if _is_open(field)]
        ),
        body=any(each.body_params for each in others),
        api_keys=tuple(dict.fromkeys(filter(None, map(_api_key, _schemes([*dependencies, *first], overrides))))),
    )


def _solved(dependencies: list[Any], overrides: Overrides) -> list[Any]:
    """Return the dependencies, with the app's overrides in place of those that it overrides."""
    if not overrides:
        return dependencies
    from fastapi.dependencies.utils import get_dependant  # noqa: PLC0415 - FastAPI made the dependant, so it is installed

    return [
        get_dependant(path=each.path, call=overrides[each.call], name=each.name) if each.call in overrides else each
        for each in dependencies
    ]


def _below(dependencies: list[Any], overrides: Overrides) -> Iterator[Any]:
    """Yield all dependencies whose declarations name the parts of the request that they read."""
    for each in _solved(dependencies, overrides):
        if any(each.call is known for known in _KNOWN) or type(each.call).__module__.startswith("fastapi.security."):
            continue  # they take the request, and their reads of it are known
        yield each
        yield from _below(each.dependencies, overrides)


def _schemes(dependencies: list[Any], overrides: Overrides) -> Iterator[Any]:
    """Yield all security schemes, including those of a user's own class, which may read more than their keys."""
    if not dependencies:
        return  # as for every endpoint of Starlette
    from fastapi.security.base import SecurityBase  # noqa: PLC0415 - FastAPI made the dependant, so it is installed

    for each in _solved(dependencies, overrides):
        if isinstance(each.call, SecurityBase):
            yield each.call
        yield from _schemes(each.dependencies, overrides)


def _api_key(scheme: Any) -> tuple[str, str] | None:
    """Return the place and name of a scheme's key; ``None`` means ``Authorization``. A user's own scheme may differ."""
    where = getattr(scheme.model, "in_", None)
    return None if where is None else (getattr(where, "value", where), scheme.model.name)


def _default(field: Any) -> Any:
    return REQUIRED if field.field_info.is_required() else field.field_info.get_default(call_default_factory=True)


def _models(field: Any) -> list[Any]:
    """Return the pydantic models of a parameter that stands for several; empty for a plain parameter."""
    annotation = field.field_info.annotation
    return [each for each in (annotation, *get_args(annotation)) if hasattr(each, "model_fields")]


def _names(field: Any) -> set[str]:
    """Return all names that a parameter, or the fields of its models, may have: perhaps too many, never too few."""
    models = _models(field)
    if not models:
        return _aliases(field.alias, field.field_info)
    found = {(name, info) for model in models for name, info in model.model_fields.items()}
    by_name = any(model.model_config.get(word) for model in models for word in ("populate_by_name", "validate_by_name"))
    names = {alias for name, info in found for alias in _aliases(info.alias or name, info)}
    return names | {name for name, _ in found} if by_name else names


def _aliases(alias: str, info: Any) -> set[str]:
    other = info.validation_alias
    choices = getattr(other, "choices", [other])
    return {alias, *(getattr(each, "path", [each])[0] for each in choices if each is not None)}


def _headers(field: Any) -> set[str]:
    """Return the header names of a parameter; a model's fields have hyphens by default, so both spellings are added."""
    names = _names(field)
    return names | {name.replace("_", "-") for name in names} if _models(field) else names


def _is_open(field: Any) -> bool:
    """Return True if the parameter's model accepts names that it does not declare."""
    return any(model.model_config.get("extra") == "allow" for model in _models(field))


def _is(annotation: Any, kind: type) -> bool:
    annotation = getattr(annotation, "__origin__", annotation)
    return isinstance(annotation, type) and issubclass(annotation, kind)


class Injected:
    """The request, FastAPI's response and the recorder, added as parameters to an endpoint that lacks them.

    Attributes:
        signature: The signature for FastAPI: annotations resolved where possible, missing parameters added.
        request: The name of the parameter for the request.
        response: The name of the parameter for the response.
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
        if not _is_plain(function) and any(map(_may_depend, parameters)):
            parameters.insert(_first(parameters), self._recorder())
        returns = _resolved(signature.return_annotation, names)
        self.signature = signature.replace(parameters=[*parameters, *variadic], return_annotation=returns)

    def _found(self, parameters: list[inspect.Parameter], kind: type, hidden: str) -> str:
        for parameter in parameters:
            if _is(parameter.annotation, kind):
                return parameter.name
        self._hidden.append(hidden)
        return hidden

    def _recorder(self) -> inspect.Parameter:
        """Return the parameter of the first dependency; FastAPI solves dependencies in the order of the parameters."""
        from fastapi import Depends  # noqa: PLC0415 - only FastAPI's endpoints have dependencies

        self._hidden.append("fleetcache_recorder")
        kind: Any = Annotated[None, Depends(record)]
        return inspect.Parameter("fleetcache_recorder", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)

    def plain(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments without the added parameters, for the function itself."""
        return {name: value for name, value in kwargs.items() if name not in self._hidden}


def _may_depend(parameter: inspect.Parameter) -> bool:
    """Return True if a parameter is or may be a dependency: text and type aliases as annotations hide which."""
    annotation = parameter.annotation
    if isinstance(annotation, str) or hasattr(annotation, "__value__") or parameter.name in _SELVES:
        return True
    kinds = [
        kind for mark in (parameter.default, *getattr(annotation, "__metadata__", ())) for kind in type(mark).__mro__
    ]
    return any((kind.__module__, kind.__name__) == ("fastapi.params", "Depends") for kind in kinds)


def _first(parameters: list[inspect.Parameter]) -> int:
    """Return the index of a function's first parameter after ``self`` or ``cls``, which class-based views pass."""
    return 1 if parameters[0].name in _SELVES else 0


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)  # noqa: S307 - as inspect's eval_str, but one by one: some annotations name imports for type checkers only
    except (NameError, SyntaxError, TypeError, AttributeError):
        return annotation
