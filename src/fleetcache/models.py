"""Pydantic's models as text and back. They are known by their methods, so pydantic is never imported."""

from typing import Any, cast

from .errors import CodecError
from .values import a, describe_unsupported

__all__ = ["is_model", "read_model", "write_model"]


def is_model(kind: Any) -> bool:
    """Whether a class is a model."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json") and hasattr(kind, "model_dump_json")


def write_model(value: Any) -> str:
    """The JSON of a model.

    Raises:
        CodecError: It is none, or does not say what it holds.
    """
    if not is_model(type(value)):
        raise CodecError(describe_unsupported(value))
    try:
        return cast("str", value.model_dump_json(round_trip=True, by_alias=False, warnings="error"))
    except Exception as error:  # noqa: BLE001 - anything of the model's own code; its text has values, so not chained
        raise CodecError(f"{a(type(value))} cannot be stored: {type(error).__name__}") from None


def read_model(declared: Any, text: Any) -> Any:
    """The model that JSON says.

    Raises:
        CodecError: It says none of this class.
    """
    name = getattr(declared, "__qualname__", repr(declared))
    if not isinstance(text, str):
        raise CodecError(f"expected {name}, got {type(text).__name__}")
    try:
        # By name, as dumped: aliases may differ between the two directions.
        return declared.model_validate_json(text, by_alias=False, by_name=True)
    except Exception as error:  # noqa: BLE001 - as above
        raise CodecError(f"expected {name}: {type(error).__name__}") from None
