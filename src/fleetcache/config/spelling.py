"""Options that were given in the wrong place or by a wrong name: the error names the right spelling."""

import inspect
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from ..errors import ConfigError
from .durations import seconds, shown

__all__ = ["by_name", "decorated_with", "known", "misplaced", "renamed"]

F = TypeVar("F", bound=Callable[..., Any])


def by_name(verb: F) -> F:
    """Show a verb's signature without its ``*others``, which take what should have been given by name and refuse it."""
    whole = inspect.signature(verb)
    kept = [parameter for parameter in whole.parameters.values() if parameter.kind is not parameter.VAR_POSITIONAL]
    verb.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined]  # for inspect, and so for help()
    return verb


def misplaced(verb: Any, others: tuple[Any, ...]) -> NoReturn:
    """Refuse options that were not given by name.

    Args:
        verb: Decorated with ``by_name``.
        others: What was given.

    Raises:
        TypeError: Says how to write it.
    """
    parameters = verb.__signature__.parameters.values()
    options = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    meant = _meant(others[0])
    example = f", as in {meant}={shown(others[0])}" if meant in options else ""
    raise TypeError(f"{verb.__name__}() takes its options by name{example}; they are {', '.join(options)}")


def decorated_with(value: object) -> None:
    """Refuse an option where the function to be decorated should be, as in ``cached("5m")``.

    Raises:
        ConfigError: Says how to write it.
    """
    if isinstance(value, str | int | float | timedelta) and not isinstance(value, bool):
        meant = _meant(value) or "key"
        raise ConfigError(f"cached({shown(value)}): options go by name, as in @cached({meant}={shown(value)})")


def known(given: dict[str, Any], names: Iterable[str], what: str) -> dict[str, Any]:
    """What was given by name, if all are names.

    Args:
        given: By name.
        names: All that there are.
        what: What they are names of.

    Raises:
        TypeError: Says which was meant, and all that there are.
    """
    accepted = sorted(names)
    for name in given:
        if name not in accepted:
            from difflib import get_close_matches  # noqa: PLC0415 - for who made a mistake

            close = get_close_matches(name, accepted, 1)
            meant = f", perhaps {close[0]} was meant" if close else ""
            raise TypeError(f"{name} is no {what}{meant}; accepted: {', '.join(accepted)}")
    return given


def _meant(value: Any) -> str:
    """The option that a value is one of, as far as it can be told."""
    if isinstance(value, list | tuple | set | frozenset):
        return "tags"
    if isinstance(value, type):
        return "type"
    try:
        seconds(value, name="ttl", zero=True)
    except ConfigError:
        return ""
    return "ttl"


def renamed(old: str, new: str) -> Any:
    """Return a property that answers by an attribute's earlier name, with a ``DeprecationWarning``.

    Args:
        old: The earlier name, which the next release drops.
        new: The name that it has now.
    """

    def answer(self: object) -> Any:
        warnings.warn(f"{type(self).__name__}.{old} is called {new} now", DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(answer)
