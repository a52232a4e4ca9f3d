"""Hooks for types that msgspec does not know: models, registered types, leaves of the standard library.

Pydantic's models are recognised by their methods, so pydantic is never imported.
"""

from typing import Any, cast

from ..errors import CodecError
from .registered_types import registered, registration
from .standard_types import is_leaf, read_leaf, standard
from .values import describe_unsupported, with_article

__all__ = ["from_plain", "is_model", "to_plain"]


def is_model(kind: Any) -> bool:
    """Return True if a class is a model."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json") and hasattr(kind, "model_dump_json")


def to_plain(value: Any) -> Any:
    """Return the plain data of a value; of a model, its JSON.

    Raises:
        CodecError: The value is of no known type, or the model failed to dump itself.
    """
    own = registration(type(value))
    if own is not None:
        return own.encode(value)
    dump = getattr(value, "model_dump_json", None)
    if dump is None or isinstance(value, type):
        row = standard(type(value))
        if row is None:
            raise CodecError(describe_unsupported(value))
        return row.write(value)
    try:
        return cast("str", dump(round_trip=True, by_alias=False, warnings="error"))
    except Exception as error:  # noqa: BLE001 - the model's code may raise anything; the text holds values, so not chained
        raise CodecError(f"{with_article(type(value))} cannot be stored: {type(error).__name__}") from None


def from_plain(declared: Any, plain: Any) -> Any:
    """Return the value of a declared type for its plain data.

    Raises:
        CodecError: The plain data is of another type, or no value can be made of it.
    """
    if declared is object:
        return plain
    validate = getattr(declared, "model_validate_json", None)
    if validate is None:
        return _of_other(declared, plain)
    if not isinstance(plain, str):
        raise CodecError(f"expected {declared.__qualname__}, got {type(plain).__name__}")
    try:
        # By name, as in the dump: aliases may differ between the two directions.
        return validate(plain, by_alias=False, by_name=True)
    except Exception as error:  # noqa: BLE001 - as above
        raise CodecError(f"expected {declared.__qualname__}: {type(error).__name__}") from None


def _of_other(declared: Any, plain: Any) -> Any:
    if isinstance(declared, type):
        own = registered(declared)
        if own is not None:
            return own.decode(plain)
        if is_leaf(declared):
            return read_leaf(declared, plain)
    raise CodecError(f"values of type {getattr(declared, '__qualname__', declared)} cannot be stored")
