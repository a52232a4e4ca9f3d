"""Options of the verbs, by the names that callers use, and the checks of what callers pass to several verbs."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypedDict

from ..config.durations import Duration

__all__ = ["ErrorTimes", "FunctionOptions", "LoadOptions", "RefreshOptions", "check_keys", "group_of", "type_name"]


ErrorTimes = Mapping[type[Exception], Duration]
"""How long errors of each class are stored."""


class RefreshOptions(TypedDict, total=False):
    """Options of ``refresh``."""

    ttl: Duration | None
    stale: Duration | None
    tags: Iterable[str]
    type: Any
    load_timeout: Duration | None
    load_limit: Duration | None
    errors: ErrorTimes | None
    exact: bool


class LoadOptions(RefreshOptions, total=False):
    """Options of ``get_or_set``."""

    early: bool
    offline_ttl: Duration | None


class FunctionOptions(LoadOptions, total=False):
    """Options of ``cached``."""

    key: str | Callable[..., str] | None
    max_loads: int | None
    clearable: bool


def check_keys(keys: Any) -> Iterable[str]:
    """Return ``keys`` if they are several keys; refuse one key, which would be read letter by letter."""
    if isinstance(keys, str | bytes):
        raise TypeError(f"keys must be several keys, not the one {type_name(keys)} {keys[:60]!r}: write [key]")
    if not isinstance(keys, Iterable):
        raise TypeError(f"keys must be several keys, such as a list of str, not {type_name(keys)}")
    return keys


def group_of(loader: Any) -> str:
    """Return the name under which loads of a function are timed: they take similar time, and leases learn from it.

    Raises:
        TypeError: The loader is not a function.
    """
    if not callable(loader):
        hint = "pass the function itself, without calling it" if isinstance(loader, Awaitable) else "write an async def"
        if isinstance(loader, Coroutine):
            loader.close()  # or Python would also warn that the coroutine was never awaited
        raise TypeError(f"the loader must be a function, not a {type_name(loader)}: {hint}")
    named = loader if getattr(loader, "__qualname__", None) else type(loader)
    return f"{named.__module__}.{named.__qualname__}"


def type_name(value: object) -> str:
    """Return the name of a value's type, for messages."""
    return type(value).__name__
