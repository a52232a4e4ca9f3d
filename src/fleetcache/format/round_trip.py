"""Quick proofs that a value survives its round trip, so that most values need no comparison part by part.

For each declared type one function is written and compiled, as ``dataclasses`` does it. The function looks only at the
kinds of a value's parts. A proof is certain: msgspec writes and reads these kinds without loss, and no code of the
user's runs between. A value without a proof may still survive, so its parts are compared.
"""

import types
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from msgspec import inspect

from .values import field_names, is_plain

__all__ = ["Proof", "proof_of"]

Proof = Callable[[Any], bool]

# Nodes of a type, as msgspec sees it, whose values are of a single kind that msgspec always reads as written.
_KINDS: Final[dict[type, type]] = {
    inspect.IntType: int,
    inspect.StrType: str,
    inspect.BoolType: bool,
    inspect.BytesType: bytes,
    inspect.FloatType: float,
    inspect.NoneType: types.NoneType,
    inspect.DateType: date,
    inspect.UUIDType: UUID,
    inspect.DecimalType: Decimal,
    inspect.TimeDeltaType: timedelta,
}
_COLLECTIONS: Final[dict[type, type]] = {
    inspect.ListType: list,
    inspect.SetType: set,
    inspect.FrozenSetType: frozenset,
    inspect.VarTupleType: tuple,
}


class _UnprovenError(Exception):
    """Kinds alone prove nothing for this type."""


def proof_of(node: object, exact: frozenset[type]) -> Proof | None:
    """Return the proof function of a type; ``None`` where kinds alone prove nothing.

    Args:
        node: The type, as ``msgspec.inspect.type_info`` gives it.
        exact: Types that the format holds by itself; a format without ``bytes`` is text, without infinity and NaN.
    """
    try:
        prover = _Prover(exact)
        return prover.compiled(prover.test(node, "v"))
    except (_UnprovenError, RecursionError, SyntaxError):  # too deep for the compiler, or a field called ``class``
        return None


class _Prover:
    """Writes the proof function of one declared type."""

    def __init__(self, exact: frozenset[type]) -> None:
        self._is_text = bytes not in exact
        self._names: dict[str, Any] = {
            "plain": lambda value: is_plain(value, exact),
            "date_time": datetime,
            "clock_time": time,
            "utc": UTC,
            "infinity": float("inf"),
        }
        self._functions: dict[int, str] = {}

    def compiled(self, test: str) -> Proof:
        """Compile the source of a test."""
        made: Proof = eval(f"lambda v: {test}", self._names)  # noqa: S307 - all names in it come from this module
        return made

    def _name(self, thing: object) -> str:
        name = f"x{len(self._names)}"
        self._names[name] = thing
        return name

    def test(self, node: Any, value: str) -> str:  # noqa: PLR0911 - one exit for each form of a type
        """Return the source of a test for values that are certain to come back."""
        if isinstance(node, inspect.Metadata):
            return self.test(node.type, value)
        if (kinds := self._kinds(node)) is not None:
            return f"type({value}) in {self._name(kinds)}" if len(kinds) > 1 else self._is(value, *kinds)
        if isinstance(node, inspect.FloatType):  # in text
            return f"type({value}) is float and -infinity < {value} < infinity"
        if isinstance(node, inspect.AnyType):
            return f"plain({value})"
        if isinstance(node, inspect.DateTimeType):
            zone = f"{value}.tzinfo is None or {value}.tzinfo is utc"
            return f"type({value}) is date_time and not {value}.fold and ({zone})"
        if isinstance(node, inspect.TimeType):
            return f"type({value}) is clock_time and not {value}.fold and {value}.tzinfo is None"
        if isinstance(node, inspect.UnionType):
            if self._is_text and {inspect.IntType, inspect.FloatType} <= {type(member) for member in node.types}:
                raise _UnprovenError
            return f"({' or '.join(f'({self.test(member, value)})' for member in node.types)})"
        if isinstance(node, inspect.EnumType):
            return self._is(value, node.cls)
        return self._of_parts(node, value)

    def _of_parts(self, node: Any, value: str) -> str:
        kind = _COLLECTIONS.get(type(node))
        if kind is not None:
            return f"{self._is(value, kind)} and {self._each(node.item_type, value)}"
        if isinstance(node, inspect.TupleType):
            parts = [f"({self.test(part, f'{value}[{place}]')})" for place, part in enumerate(node.item_types)]
            return " and ".join([self._is(value, tuple), *parts])  # msgspec read it, so its length is the type's
        if isinstance(node, inspect.DictType):
            if not (self._kinds(node.key_type) or {object}) <= {str, int}:
                raise _UnprovenError
            keys, values = self._each(node.key_type, value), self._each(node.value_type, f"{value}.values()")
            return f"{self._is(value, dict)} and {keys} and {values}"
        if isinstance(node, inspect.TypedDictType):
            return self._of_keys(node, value)
        if isinstance(node, (inspect.DataclassType, inspect.StructType, inspect.NamedTupleType)):
            return f"{self._function(node)}({value})"
        raise _UnprovenError

    def _of_keys(self, node: Any, value: str) -> str:
        """Return the test for a ``TypedDict``: msgspec reads the keys that the type names, and drops the rest."""
        names = frozenset(field.encode_name for field in node.fields)
        tests = [self._is(value, dict), f"{value}.keys() <= {self._name(names)}"]
        for field in node.fields:
            test = self.test(field.type, f"{value}[{field.encode_name!r}]")
            tests.append(f"({test})" if field.required else f"({field.encode_name!r} not in {value} or ({test}))")
        return " and ".join(tests)

    def _is(self, value: str, kind: type) -> str:
        return f"type({value}) is {self._name(kind)}"

    def _kinds(self, node: Any) -> set[type] | None:
        """Return the kinds of a node without inner parts; ``None`` for any other node."""
        if isinstance(node, inspect.Metadata):
            return self._kinds(node.type)
        if isinstance(node, inspect.UnionType):
            found = [self._kinds(member) for member in node.types]
            return None if None in found else set().union(*filter(None, found))
        if isinstance(node, inspect.LiteralType):
            return {type(value) for value in node.values}
        if self._is_text and isinstance(node, inspect.FloatType):
            return None
        kind = _KINDS.get(type(node))
        return None if kind is None else {kind}

    def _each(self, node: Any, values: str) -> str:
        kinds = self._kinds(node)
        if kinds is not None:
            return f"{self._name(kinds.issuperset)}(map(type, {values}))"
        name = (
            self._function(node)
            if hasattr(node, "fields") and hasattr(node, "cls") and not isinstance(node, inspect.TypedDictType)
            else self._name(self.compiled(self.test(node, "v")))
        )
        return f"all(map({name}, {values}))"

    def _function(self, node: Any) -> str:
        """Return the name of the proof function of a class; a class may contain itself."""
        name = self._functions.get(id(node))
        if name is None:
            _check_class(node)
            name = self._functions[id(node)] = self._name(None)
            tests = [self._is("v", node.cls)]
            if node.cls.__dictoffset__:
                tests.append(f"len(v.__dict__) == {len(node.fields)}")
            tests += [f"({self.test(field.type, f'v.{field.name}')})" for field in node.fields]
            self._names[name] = self.compiled(" and ".join(tests))
        return name


def _check_class(node: Any) -> None:
    """Raise ``_UnprovenError`` unless msgspec makes objects of the class without running code of the class."""
    kind = node.cls
    names = tuple(field.name for field in node.fields)
    fields = getattr(kind, "__dataclass_fields__", {})
    frozen = bool(fields) and "__dataclass_params__" in kind.__dict__ and kind.__dataclass_params__.frozen
    is_own = (
        hasattr(kind, "__post_init__")
        or hasattr(kind, "__attrs_attrs__")
        or names != field_names(kind)
        or any(not field.init for field in fields.values())
        or kind.__getattribute__ is not object.__getattribute__
        or not (frozen or isinstance(node, inspect.StructType) or kind.__setattr__ is object.__setattr__)
        or (isinstance(node, inspect.NamedTupleType) and kind.__dictoffset__)
        or any(isinstance(getattr(kind, name, None), property) for name in names)
    )
    if is_own:
        raise _UnprovenError
