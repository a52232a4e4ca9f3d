"""Refuses options given in the wrong place or by a wrong name, with an error that shows the right spelling."""

import inspect
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from ..errors import ConfigError
from .durations import parse_duration, shorten

__all__ = ["by_name", "decorated_with", "known", "misplaced", "renamed"]

F = TypeVar("F", bound=Callable[..., Any])


def by_name(verb: F) -> F:
    """Show a verb's signature without its ``*others`` and ``**unknown``, which catch misspelt options."""
    whole = inspect.signature(verb)
    kept = [each for each in whole.parameters.values() if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}]
    verb.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined]  # read by inspect and help()
    return verb


def misplaced(verb: Any, others: tuple[Any, ...], unknown: dict[str, Any] | None = None) -> NoReturn:
    """Refuse options that were passed by position or by an unknown name.

    Args:
        verb: A verb decorated with ``by_name``.
        others: The arguments passed by position.
        unknown: The arguments passed by an unknown name; ``others`` may be empty where there are some.

    Raises:
        TypeError: Always; shows the right spelling.
    """
    parameters = verb.__signature__.parameters.values()
    options = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if not others:
        known(unknown or {}, options, f"option of {verb.__name__}()")
    meant = _meant(others[0])
    example = f", as in {meant}={shorten(others[0])}" if meant in options else ""
    raise TypeError(f"{verb.__name__}() takes its options by name{example}; they are {', '.join(options)}")


def decorated_with(value: object) -> None:
    """Refuse an option in the place of the function to be decorated, as in ``cached("5m")``.

    Raises:
        ConfigError: ``value`` is an option; shows the right spelling.
    """
    if isinstance(value, str | int | float | timedelta) and not isinstance(value, bool):
        meant = _meant(value) or "key"
        raise ConfigError(
            f"cached({shorten(value)}): options are given by name, as in @cached({meant}={shorten(value)})"
        )


def known(given: dict[str, Any], names: Iterable[str], what: str) -> dict[str, Any]:
    """Return the given options if all their names are known.

    Args:
        given: The options by name.
        names: The accepted names.
        what: The kind of thing that the names stand for, for the error: "setting".

    Raises:
        TypeError: A name is unknown; shows the closest name and all accepted names.
    """
    accepted = sorted(names)
    for name in given:
        if name not in accepted:
            from difflib import get_close_matches  # noqa: PLC0415 - only for the error

            close = get_close_matches(name, accepted, 1)
            meant = f", perhaps {close[0]} was meant" if close else ""
            raise TypeError(f"{name} is not a known {what}{meant}; accepted: {', '.join(accepted)}")
    return given


def _meant(value: Any) -> str:
    """Return the option that a value is probably meant for; empty if unknown."""
    if isinstance(value, list | tuple | set | frozenset):
        return "tags"
    if isinstance(value, type):
        return "type"
    try:
        parse_duration(value, name="ttl", zero=True)
    except ConfigError:
        return ""
    return "ttl"


def renamed(old: str, new: str) -> Any:
    """Return a property that answers under an attribute's earlier name, with a ``DeprecationWarning``.

    Args:
        old: The earlier name, which the next release drops.
        new: The name that it has now.
    """

    def answer(self: object) -> Any:
        warnings.warn(f"{type(self).__name__}.{old} is called {new} now", DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(answer)
