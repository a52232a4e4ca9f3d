"""Options of cached responses, checked once, at the decorator.

Each option that caches more than HTTP allows a shared cache by itself is separate, and off by default.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import Any, Literal, TypedDict, get_args

from msgspec import Struct

from fleetcache import ConfigError, Settings

__all__ = ["Cookies", "Duration", "Identity", "Loading", "Options", "Strip", "checked"]

Duration = float | str | timedelta
Identity = Literal["bypass", "key", "ignore"]
Cookies = Identity | Iterable[str]
Strip = Literal["bypass", "strip"]

_COOKIES = (*get_args(Identity), 'or names of cookies such as ("session",)')

# RFC 9110 §15: these statuses answer a part of a resource, or a condition that one client sent.
_NEVER_KEPT = frozenset({206, 304})


class Loading(TypedDict, total=False):
    """Options passed to ``get_or_set`` unchanged."""

    ttl: Duration | None
    stale: Duration | None
    early: bool
    offline_ttl: Duration | None


class Options(Struct, frozen=True):
    """All options of ``cached_response`` except its cache."""

    loading: Loading
    ttl: float | None
    stale: float
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


def checked(
    *,
    ttl: Duration | None,
    stale: Duration | None,
    early: bool,
    offline_ttl: Duration | None,
    tags: Iterable[str],
    vary: Iterable[str],
    query: Iterable[str] | None,
    ignore: Iterable[str],
    max_age: Duration | None,
    authorization: Identity,
    cookies: Cookies,
    set_cookie: Strip,
    methods: Iterable[str],
    statuses: Iterable[int],
    max_bytes: int,
    clearable: bool,
    client_reload: bool,
    clock: Callable[[], float],
) -> Options:
    """Return the checked options, each in the form in which it is used.

    Raises:
        ConfigError: An option is wrong; the text names it, its value and the choices.
    """
    _seconds("offline_ttl", offline_ttl)
    _chosen("authorization", authorization, get_args(Identity))
    _chosen("set_cookie", set_cookie, get_args(Strip))
    kept = frozenset(_several("statuses", statuses, int))
    if not kept or kept & _NEVER_KEPT or not all(200 <= status <= 599 for status in kept):  # noqa: PLR2004 - RFC 9110 §15
        raise _wrong("statuses", sorted(kept), "final statuses such as (200, 404); never 206 and 304")
    names = frozenset(method.upper() for method in _several("methods", methods, str)) - {"HEAD"}
    if not names:
        raise _wrong("methods", tuple(methods), 'methods such as ("GET",); HEAD is answered from what GET has stored')
    fields = tuple(_several("vary", vary, str))
    if "*" in fields:
        raise _wrong("vary", fields, 'names of request headers such as ("Accept-Language",)')
    if type(max_bytes) is not int or max_bytes < 1:
        raise _wrong("max_bytes", max_bytes, "a number of bytes, at least 1")
    return Options(
        loading={"ttl": ttl, "stale": stale, "early": early, "offline_ttl": offline_ttl},
        ttl=_seconds("ttl", ttl),
        stale=_seconds("stale", stale) or 0.0,
        tags=tuple(_several("tags", tags, str)),
        clearable=clearable,
        vary=fields,
        query=None if query is None else tuple(_several("query", query, str)),
        ignore=frozenset(name.lower() for name in _several("ignore", ignore, str)),
        max_age=_seconds("max_age", max_age, like="ttl"),
        authorization=authorization,
        cookies=_cookies(cookies),
        set_cookie=set_cookie,
        methods=names,
        statuses=kept,
        client_reload=client_reload,
        max_bytes=max_bytes,
        clock=clock,
    )


def _seconds(name: str, value: Duration | None, like: str | None = None) -> float | None:
    """Return the duration in seconds, within the bounds of the setting named ``like``."""
    if value is None:
        return None
    field = like or name
    given: dict[str, Any] = {field: value}
    try:
        return float(getattr(Settings(**given), field))
    except ConfigError as error:
        raise ConfigError(f"cached_response: {name}{str(error).partition(f'({field})')[2]}") from None


def _several(name: str, values: Any, kind: type) -> Collection[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise _wrong(name, values, f"several of {kind.__name__}, such as a tuple")
    found = list(values)
    for value in found:
        if isinstance(value, bool) or not isinstance(value, kind) or value == "":
            raise _wrong(name, value, f"several of {kind.__name__}")
    return found


def _cookies(value: Any) -> Any:
    if isinstance(value, str):
        _chosen("cookies", value, _COOKIES)
        return value
    if not isinstance(value, Iterable):
        raise _wrong("cookies", value, ", ".join(_COOKIES))
    return frozenset(_several("cookies", value, str))


def _chosen(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _wrong(name, value, ", ".join(choices))


def _wrong(name: str, value: object, accepted: str) -> ConfigError:
    return ConfigError(f"cached_response: {name} = {value!r} is not accepted; accepted: {accepted}")
