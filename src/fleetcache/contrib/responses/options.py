"""Options of cached responses, checked once, at the decorator. Each check raises ``ConfigError`` for a wrong value.

Each option that caches more than HTTP allows a shared cache by itself is separate, and off by default.
"""

import inspect
from collections.abc import Callable, Iterable
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, TypedDict, TypeVar, cast, get_args

from msgspec import Struct

from fleetcache import ConfigError, Settings

__all__ = [
    "Cookies",
    "Duration",
    "Identity",
    "Loading",
    "Options",
    "Strip",
    "by_name",
    "check_choice",
    "check_cookies",
    "check_duration",
    "check_loading",
    "check_max_bytes",
    "check_methods",
    "check_names",
    "check_spelling",
    "check_statuses",
    "check_vary",
    "meant_as",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

Duration = float | str | timedelta
Identity = Literal["bypass", "key", "ignore"]
Cookies = Identity | Iterable[str]
Strip = Literal["bypass", "strip"]

_COOKIES = (*get_args(Identity), 'or names of cookies such as ("session",)')

# RFC 9110 §15: these statuses answer a part of a resource, or a condition that one client sent.
_NEVER_KEPT = frozenset({206, 304})


class Loading(TypedDict):
    """Options passed to ``get_or_set`` unchanged; durations in seconds."""

    ttl: float | None
    stale: float | None
    early: bool
    offline_ttl: float | None
    exact: bool


class Options(Struct, frozen=True):
    """All options of ``cached_response`` except its cache."""

    loading: Loading
    tags: tuple[str, ...]
    clearable: bool
    vary: tuple[str, ...]
    query: tuple[str, ...] | None
    ignore: frozenset[str]
    max_age: float | None
    authorization: Identity
    cookies: Identity | frozenset[str]
    set_cookie: Strip
    methods: frozenset[str]
    statuses: frozenset[int]
    client_reload: bool
    max_bytes: int
    clock: Callable[[], float]

    def cache_control(self, *, personal: bool) -> str:
        """Return ``Cache-Control`` for clients and proxies, where the endpoint sets none."""
        said = "no-cache" if self.max_age is None else f"max-age={int(self.max_age)}"
        return f"private, {said}" if personal else said


def by_name(decorator: F) -> F:
    """Show a decorator's signature without its ``*others`` and ``**unknown``, which catch misspelt options."""
    whole = inspect.signature(decorator)
    kept = [each for each in whole.parameters.values() if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}]
    decorator.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined] # read by inspect and help()
    return decorator


def check_spelling(decorator: Callable[..., Any], others: tuple[Any, ...], unknown: dict[str, Any]) -> None:
    """Refuse options that were passed by position or by an unknown name.

    Raises:
        TypeError: There are such options; shows the right spelling.
    """
    parameters = inspect.signature(decorator).parameters.values()
    options = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    name = decorator.__name__
    if others:
        example = f", as in {meant}={others[0]!r}" if (meant := meant_as(others[0])) else ""
        raise TypeError(f"{name}() takes its options by name{example}; they are {', '.join(options)}")
    for given in unknown:
        close = get_close_matches(given, options, 1)
        perhaps = f", perhaps {close[0]} was meant" if close else ""
        raise TypeError(f"{given} is not a known option of {name}(){perhaps}; accepted: {', '.join(options)}")


def meant_as(value: object) -> str:
    """Return the option that a value is probably meant for; empty if unknown."""
    if isinstance(value, list | tuple | set | frozenset):
        return "tags"
    if isinstance(value, str | int | float | timedelta) and not isinstance(value, bool):
        try:
            check_duration("ttl", value)
        except ConfigError:
            return ""
        return "ttl"
    return ""


def check_loading(
    ttl: Duration | None, stale: Duration | None, offline_ttl: Duration | None, *, early: bool
) -> Loading:
    """Return the options for ``get_or_set``, with durations in seconds."""
    return {
        "ttl": check_duration("ttl", ttl),
        "stale": check_duration("stale", stale),
        "early": early,
        "offline_ttl": check_duration("offline_ttl", offline_ttl),
        "exact": True,  # ``max-age`` and ``Age`` are promises to clients
    }


def check_statuses(statuses: Iterable[int]) -> frozenset[int]:
    """Return the statuses of responses that are stored."""
    kept = frozenset(check_names("statuses", statuses, int))
    if not kept or kept & _NEVER_KEPT or not all(200 <= status <= 599 for status in kept):  # noqa: PLR2004 - RFC 9110 §15
        raise _wrong("statuses", sorted(kept), "final statuses such as (200, 404); never 206 and 304")
    return kept


def check_methods(methods: Iterable[str]) -> frozenset[str]:
    """Return the methods whose responses are stored, without HEAD."""
    names = frozenset(method.upper() for method in check_names("methods", methods)) - {"HEAD"}
    if not names:
        raise _wrong("methods", tuple(methods), 'methods such as ("GET",); HEAD is answered from what GET has stored')
    return names


def check_vary(vary: Iterable[str]) -> tuple[str, ...]:
    """Return the names of request headers that decide the answer."""
    fields = check_names("vary", vary)
    if "*" in fields:
        raise _wrong("vary", fields, 'names of request headers such as ("Accept-Language",)')
    return fields


def check_max_bytes(max_bytes: int) -> int:
    """Return the size of the largest body that is stored."""
    if type(max_bytes) is not int or max_bytes < 1:
        raise _wrong("max_bytes", max_bytes, "a number of bytes, at least 1")
    return max_bytes


def check_cookies(cookies: Cookies) -> Identity | frozenset[str]:
    """Return what requests with cookies do, or the names of the cookies that decide the answer."""
    if isinstance(cookies, str):
        return cast("Identity", check_choice("cookies", cookies, _COOKIES))
    if not isinstance(cookies, Iterable):
        raise _wrong("cookies", cookies, ", ".join(_COOKIES))
    return frozenset(check_names("cookies", cookies))


def check_duration(name: str, value: Duration | None, like: str | None = None) -> float | None:
    """Return the duration in seconds, within the bounds of the setting named ``like``."""
    if value is None:
        return None
    field = like or name
    given: dict[str, Any] = {field: value}
    try:
        return float(getattr(Settings(**given), field))
    except ConfigError as error:
        raise ConfigError(f"cached_response: {name}{str(error).partition(f'({field})')[2]}") from None


def check_names(name: str, values: Iterable[T], kind: type = str) -> tuple[T, ...]:
    """Return several names, or with ``kind`` several numbers."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise _wrong(name, values, f"several of {kind.__name__}, such as a tuple")
    found = tuple(values)
    for value in found:
        if isinstance(value, bool) or not isinstance(value, kind) or value == "":
            raise _wrong(name, value, f"several of {kind.__name__}")
    return found


def check_choice(name: str, value: T, choices: tuple[object, ...]) -> T:
    """Return one of the choices."""
    if value not in choices:
        raise _wrong(name, value, ", ".join(map(str, choices)))
    return value


def _wrong(name: str, value: object, accepted: str) -> ConfigError:
    return ConfigError(f"cached_response: {name} = {value!r} is not accepted; accepted: {accepted}")
