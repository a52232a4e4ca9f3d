"""Results that a loader may return instead of a plain value, and ``MISSING``, which stands for an absent entry.

``NoStore`` and ``Keep`` let the result decide how long it lives. Both are covariant, so ``User | NoStore[User]`` is
read as a loader of ``User``. ``MISSING`` distinguishes an absent entry from a stored ``None``.
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
    "unwrap",
]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class NoStore(Struct, Generic[T_co], frozen=True):
    """Answer the callers that wait for this load, but keep nothing.

    Args:
        value: the value that the callers get.

    Example:
        >>> async def locate(ip: str) -> str | NoStore[str]:
        ...     place = await origin.locate(ip)
        ...     return place if place else NoStore("unknown")  # ask again next time
    """

    value: T_co

    if TYPE_CHECKING:  # pyright cannot infer the type of a generic Struct's field

        def __init__(self, value: T_co) -> None: ...


class _Kept(Struct, Generic[T_co], frozen=True):
    value: T_co


class Keep(_Kept[T_co], Generic[T_co], frozen=True, kw_only=True):
    """Keep the value for a time that the result decides.

    Args:
        value: the value that the callers get and that is stored.
        ttl: how long the value is fresh: seconds, ``timedelta`` or text such as ``"10m"``. ``None``: as in the call.
        stale: how long after ``ttl`` the value may still answer while it is loaded again. ``None``: as in the call.

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
    """An entry with its times, as ``lookup`` returns it. All times are durations: no clocks of two hosts are compared.

    Args:
        value: the stored value.
        fresh_for: seconds until its ttl ends; negative: seconds since it ended. On a server without client
            tracking at most as long as this process may keep a copy.
        age: seconds since the value was stored: its ttl less the time that the server has left of it. After ``touch``,
            which changes that time, the same difference, 0 at least.
        stale: whether its ttl has ended, and its stale time has not.

    Example:
        >>> from fleetcache import SyncCache
        >>> cache = SyncCache("memory://")
        >>> cache.set("answer", 42, ttl="1m")
        >>> found = cache.lookup("answer")
        >>> found.value, round(found.fresh_for), found.stale
        (42, 60, False)
    """

    value: T_co
    fresh_for: float
    age: float
    stale: bool

    if TYPE_CHECKING:  # as above

        def __init__(self, value: T_co, fresh_for: float, age: float, stale: bool) -> None: ...


def unwrap(result: Any) -> Any:
    """Return the value of a loader's result, for callers that keep nothing anyway."""
    return result.value if isinstance(result, Keep | NoStore) else result


Loader = Callable[P, Awaitable[T | NoStore[T] | Keep[T]]]
"""An ``async def`` that returns a ``T``, or a ``T`` in ``NoStore`` or ``Keep``."""

Wrapping = Callable[P, Awaitable[NoStore[T] | Keep[T]]]
"""An ``async def`` that always returns ``NoStore`` or ``Keep``.

A separate type, because a type checker would take its ``Keep[T]`` for the ``T`` of a ``Loader``.
"""


SyncLoader = Callable[P, T | NoStore[T] | Keep[T]]
"""A ``def`` that returns a ``T``, or a ``T`` in ``NoStore`` or ``Keep``."""

SyncWrapping = Callable[P, NoStore[T] | Keep[T]]
"""A ``def`` that always returns ``NoStore`` or ``Keep``."""


class Missing(Enum):
    """The type of ``MISSING``: an enum of one member, so that type checkers narrow on ``is MISSING``."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Stands for an absent entry. Pass it as ``default`` to distinguish an absent entry from a stored ``None``."""
