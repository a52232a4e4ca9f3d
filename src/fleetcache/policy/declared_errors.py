"""Errors that belong to a function's results (``errors=``): stored like a value, and raised again in every process.

Rules:

1. An error is stored if its class is a key of the mapping, for the time that the mapping gives. A subclass is another
   class.
2. A stored error names its class by module and qualified name. The name is looked up among the classes of the reader's
   own mapping: nothing is imported, and an error of any other class is a miss.
3. An error is rebuilt without its ``__init__``, from its ``args``, which must be values that the cache stores without a
   type. It has no cause and no traceback.
4. An error that would come back changed, because its object has attributes of its own, is not stored.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..config.durations import MAX_TTL, parse_duration
from ..errors import CodecError, ConfigError, FleetcacheError
from .options import MINIMUM_TTL

__all__ = ["DeclaredErrors"]

_HEAP_TYPE: Final = 1 << 9  # the flag of a class that a class statement has made


class DeclaredErrors:
    """The mapping of one function.

    Args:
        errors: Durations by class.

    Raises:
        ConfigError: The mapping, a class or a duration is wrong.

    Example:
        >>> errors = DeclaredErrors({LookupError: "10s"})
        >>> errors.time_of(LookupError("no such user")), errors.time_of(KeyError("k"))
        (10.0, None)
        >>> errors.rebuilt(errors.written(LookupError("no such user")))
        LookupError('no such user')
    """

    __slots__ = ("_classes", "_times")

    def __init__(self, errors: Any) -> None:
        if not isinstance(errors, Mapping):
            raise ConfigError(
                f"errors={errors!r}: give a mapping of exception classes to durations, {{NotFound: '10s'}}"
            )
        self._times: dict[type[Exception], float] = {}
        self._classes: dict[str, type[Exception]] = {}
        for kind, time in errors.items():
            name = _name(_checked(kind))
            if name in self._classes:
                raise ConfigError(f"errors: two classes have the name {name}, by which stored errors are recognised")
            self._classes[name] = kind
            self._times[kind] = parse_duration(
                time, name=f"errors[{kind.__name__}]", minimum=MINIMUM_TTL, maximum=MAX_TTL
            )

    def __repr__(self) -> str:
        return f"<DeclaredErrors {', '.join(self._classes)}>"

    def time_of(self, error: BaseException) -> float | None:
        """Return for how many seconds the error is stored; ``None``: its class was not declared."""
        return self._times.get(type(error))  # type: ignore[arg-type] # any other class is not in the mapping

    def written(self, error: BaseException) -> list[Any]:
        """Return the error as plain data.

        Raises:
            CodecError: The error would come back changed.
        """
        own = [name for name in vars(error) if name != "__notes__"]
        if own:
            raise CodecError(
                f"{type(error).__name__} cannot be stored: it has the attribute {own[0]}, and only args are stored; "
                "read such a value from args, by a property"
            )
        return [_name(type(error)), list(error.args)]

    def rebuilt(self, written: Any) -> Exception | None:
        """Return the error that was written; ``None`` if its class is not in the mapping, or for other data."""
        if type(written) is not list or len(written) != 2 or type(written[1]) is not list:  # noqa: PLR2004 - name, args
            return None
        name, args = written
        kind = self._classes.get(name) if type(name) is str else None
        if kind is None:
            return None
        base = next(each for each in kind.__mro__ if not each.__flags__ & _HEAP_TYPE)  # whose __new__ is Python's own
        try:
            error: Exception = base.__new__(kind, *args)
            error.args = tuple(args)
        except Exception:  # noqa: BLE001 - a class whose layout has changed since: a miss
            return None
        return error


def _checked(kind: Any) -> type[Exception]:
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise ConfigError(f"errors: {kind!r} is not a class of exceptions; give classes such as LookupError")
    if issubclass(kind, FleetcacheError):
        raise ConfigError(f"errors: {kind.__name__} is an error of the cache itself, which is not stored")
    return kind


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
