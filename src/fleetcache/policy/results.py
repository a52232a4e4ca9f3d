"""What a loader may return instead of a plain value, and the sign for "nothing there".

``NoStore`` and ``Keep`` let the result decide how long it lives. Both are covariant, so ``User | NoStore[User]`` is
read as a loader of ``User``. ``MISSING`` tells an absent entry from a stored ``None``.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

from msgspec import Struct

__all__ = [
    "MISSING",
    "Found",
    "Keep",
    "Loader",
    "Missing",
    "NoStore",
    "SyncLoader",
    "SyncWrapping",
    "Wrapping",
    "plain",
]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class NoStore(Struct, Generic[T_co], frozen=True):
    """Answer the callers who wait for this load, but keep nothing.

    Args:
        value: what the callers get.

    Example:
        >>> async def locate(ip: str) -> str | NoStore[str]:
        ...     place = await origin.locate(ip)
        ...     return place if place else NoStore("unknown")  # ask again next time
    """

    value: T_co

    if TYPE_CHECKING:  # pyright makes nothing of the type of a generic Struct's field

        def __init__(self, value: T_co) -> None: ...


class _Kept(Struct, Generic[T_co], frozen=True):
    value: T_co


class Keep(_Kept[T_co], Generic[T_co], frozen=True, kw_only=True):
    """Keep the value for a time that the result decides.

    Args:
        value: what the callers get and what is stored.
        ttl: how long it is fresh: seconds, ``timedelta`` or text such as ``"10m"``. ``None``: as the call says.
        stale: how long after ``ttl`` it may still answer while it is loaded anew. ``None``: as the call says.

    Example:
        >>> async def token() -> Keep[str]:
        ...     answer = await auth.fetch()
        ...     return Keep(answer.token, ttl=answer.expires_in - 30)
    """

    ttl: float | str | timedelta | None = None
    stale: float | str | timedelta | None = None

    if TYPE_CHECKING:  # as above

        def __init__(
            self,
            value: T_co,
            *,
            ttl: float | str | timedelta | None = None,
            stale: float | str | timedelta | None = None,
        ) -> None: ...


class Found(Struct, Generic[T_co], frozen=True):
    """An entry with its times, as ``lookup`` shows it. All are durations: no clocks of two hosts are compared.

    Args:
        value: what is stored.
        fresh_for: seconds until its ttl is over; negative = since when it has been. On a server without client
            tracking at most what this process may keep a copy for.
        age: seconds since it was stored, by its ttl and what the server has left of it. After ``touch`` it is what
            that makes it, 0 at least.
        stale: whether its ttl is over, and its stale time is not.
    """

    value: T_co
    fresh_for: float
    age: float
    stale: bool

    if TYPE_CHECKING:  # as above

        def __init__(self, value: T_co, fresh_for: float, age: float, stale: bool) -> None: ...


def plain(result: Any) -> Any:
    """The value, where nothing is kept anyway."""
    return result.value if isinstance(result, Keep | NoStore) else result


Loader = Callable[P, Awaitable[T | NoStore[T] | Keep[T]]]
"""An ``async def`` that gives a ``T``, and may say how to keep it."""

Wrapping = Callable[P, Awaitable[NoStore[T] | Keep[T]]]
"""One that always says it. A case of its own: a type checker would take its ``Keep[T]`` for the ``T`` of a loader."""


SyncLoader = Callable[P, T | NoStore[T] | Keep[T]]
"""A ``def`` that gives a ``T``, and may say how to keep it."""

SyncWrapping = Callable[P, NoStore[T] | Keep[T]]
"""One that always says it."""


class Missing(Enum):
    """The type of ``MISSING``: an enum of one member, so that type checkers narrow on ``is MISSING``."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Not there. Pass it as ``default`` to tell an absent entry from a stored ``None``."""
