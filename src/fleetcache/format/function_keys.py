"""A function and its arguments -> the key of the result.

1. Arguments are bound to the signature with defaults applied: ``f(1)`` and ``f(x=1)`` share a key.
2. Arguments of different type or value never share a key: ``1``, ``True``, ``1.0`` and ``"1"`` give four keys.
3. An argument that has no text of its own, the same in every process, is an error: nothing is left out silently.
4. A template names the arguments that matter; its mistakes show at decoration, not at the first call. A template that
   names none of the existing parameters is a mistake.
5. The parameters that a wrapper declares win. If it takes any arguments, the parameters of the wrapped function count.

``arguments`` writes one value and ``function_names`` the function's name; this module binds arguments, reads templates
and limits the length.
"""

import hashlib
import inspect
import operator
import re
import string
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import KeyRuleError
from .arguments import SEPARATORS, Unwritable, write_argument
from .function_names import Names, module_of, wrapped_by
from .keys import MAX_KEY_BYTES, MAX_TAG_BYTES, check_key, function_tag

__all__ = ["FunctionKey"]

# Longer arguments are cut and end in a digest, so that keys stay readable and cheap to send.
_MAX_ARGUMENT_BYTES: Final = 200
# 128 bits: among 2**50 long argument lists, the chance that two share a digest is below one in 10**8.
_DIGEST_BYTES: Final = 16
_ABSENT: Final = object()
_EMPTY: Final = inspect.Parameter.empty
_SELF_NAMES: Final = ("self", "cls")
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

# One substitution: the index of the argument, the getter of its attribute, the text that follows.
_Part = tuple[int, Callable[[Any], Any] | None, str]


class FunctionKey:
    """The keys of one function's results.

    Args:
        fn: The function, as decorated (a ``staticmethod`` or ``classmethod`` object too).
        template: ``"geo:{ip}"`` or ``"order:{user.id}"``; or a function that gets the call's arguments and returns
            the key; ``None``: module, qualified name and all arguments.
        names: The names of all functions of the cache; ``None``: this is the only function.
        prefix: The prefix of the namespace that holds the keys.

    Attributes:
        family: The common part of all keys: the template with its fields left empty, or the function's module and
            qualified name. It is the same in every process, and independent of the parameters' names.
        name: The function's name in errors: its qualified name, or the type of the callable.
        group: The same with its module: the function's name in reports, under which its load times are learnt.

    Raises:
        KeyRuleError: The template is malformed or names an unknown parameter, or the function needs a template.

    Example:
        >>> async def locate(ip: str, lang: str = "en") -> str: ...
        >>> FunctionKey(locate, "geo:{ip}:{lang}").key(("1.2.3.4",), {})
        'geo:1.2.3.4:en'
    """

    __slots__ = ("_binder", "_call", "_escape", "_head", "_limit", "_owner", "_parts", "family", "group", "name")

    def __init__(
        self, fn: Any, template: str | Callable[..., str] | None, names: Names | None = None, prefix: str = ""
    ) -> None:
        function = fn.__func__ if isinstance(fn, (staticmethod, classmethod)) else fn
        self.name = getattr(function, "__qualname__", None) or type(function).__qualname__
        self.group = f"{module_of(function)}.{self.name}"
        self._binder = _Binder(function)
        self._call: Callable[..., str] | None = None
        self._owner: str | None = None
        self._escape: dict[int, str] | None = None
        if template is None:
            self._owner = _owner(fn, function, self._binder.names)
            self.family = (Names() if names is None else names).take(function, prefix)
            self._head, self._parts = _default_parts(self.family, len(self._binder.names))
        elif isinstance(template, str):
            self._head, self._parts, self._escape = _compile(template, self._binder, self.name)
            self.family = self._head + "".join("{}" + tail for _, _, tail in self._parts)
        elif callable(template):
            self._call, self._head, self._parts = template, "", []
            self.family = self.group
        else:
            raise KeyRuleError(f"{self.name}: key= is a template or a function, not {type(template).__name__}")
        fixed = self._head + "".join(tail for _, _, tail in self._parts)
        self._limit = len(fixed.encode()) + _MAX_ARGUMENT_BYTES
        if self._limit + 2 * _DIGEST_BYTES + 1 > MAX_KEY_BYTES:
            raise KeyRuleError(
                f"{self.name}: the fixed part of its keys has {len(fixed)} characters, too many for a key"
            )

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of one call.

        Raises:
            KeyRuleError: An argument cannot take part in a key; or the call does not fit the function below a
                decorator, which may supply arguments.
            TypeError: The arguments do not fit the function; the same error as calling it.
        """
        if self._call is not None:
            return self._called(args, kwargs)
        try:
            values = self._binder.bind(args, kwargs)
        except TypeError as error:
            if not self._binder.guessed:
                raise
            raise KeyRuleError(
                f"{self.name}: the call does not fit its parameters ({error}). If a decorator below @cached supplies "
                "arguments, make the key by a function of the callers' arguments: "
                'key=lambda user_id: f"user:{user_id}"'
            ) from error
        if self._owner is not None:
            self._check_owner(values[0])
        text = self._head
        for index, attribute, tail in self._parts:
            try:
                value = values[index] if attribute is None else attribute(values[index])
                written = write_argument(value)
            except (Unwritable, AttributeError, RecursionError, ValueError) as error:
                raise self._unwritable(index, values[index], error) from error
            text += (written if self._escape is None else written.translate(self._escape)) + tail
        return text if len(text) <= self._limit and text.isascii() else self._shortened(text)

    def _shortened(self, text: str) -> str:
        raw = text.encode()
        if len(raw) <= self._limit:
            return text
        return _cut(raw, self._limit)  # longer than any uncut key, so cut and uncut keys never collide

    def tag(self, prefix: str) -> str:
        """Return the internal tag of the whole family, in the namespace with this prefix.

        Example:
            >>> async def locate(ip: str) -> str: ...
            >>> FunctionKey(locate, "geo:{ip}").tag("maps:")
            '**maps:geo:{}'
        """
        raw = function_tag(prefix + self.family).encode()
        return raw.decode() if len(raw) <= MAX_TAG_BYTES else _cut(raw, MAX_TAG_BYTES - 2 * _DIGEST_BYTES - 1)

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        assert self._call is not None  # noqa: S101 - for the type checker: the only caller has checked this
        try:
            return check_key(self._call(*args, **kwargs))
        except KeyRuleError as error:
            raise KeyRuleError(f"{self.name}: key= gave no key: {error}") from None

    def _check_owner(self, first: object) -> None:
        kind = first if isinstance(first, type) else type(first)
        if hasattr(first, "__cache_key__"):
            return
        named_self = self._binder.names[0] in _SELF_NAMES
        if named_self or any(base.__qualname__ == self._owner for base in kind.__mro__):
            raise KeyRuleError(
                f"{self.name} is a method, and {kind.__qualname__} does not say what its keys should be: "
                f"pass key=, or give {kind.__qualname__} a __cache_key__()"
            )

    def _unwritable(self, index: int, value: object, error: Exception) -> KeyRuleError:
        kind = type(value).__qualname__
        return KeyRuleError(
            f"{self.name}: argument {self._binder.names[index]!r} of type {kind} cannot be part of a key "
            f"({error}): give the type a __cache_key__(), or leave it out with key="
        )

    def __repr__(self) -> str:
        return f"<FunctionKey {self.name} {self._head}…>"


def _cut(raw: bytes, kept: int) -> str:
    digest = hashlib.blake2b(raw, digest_size=_DIGEST_BYTES).hexdigest()
    return f"{raw[:kept].decode(errors='ignore')}#{digest}"


class _Binder:
    """Binds arguments to one value for each parameter. ``Signature.bind`` does the same, some twenty times slower.

    Attributes:
        names: Names of the parameters.
        guessed: True if the parameters are those of a wrapped function. The wrapper takes any arguments and may change
            them.
    """

    __slots__ = ("_by_keyword", "_count", "_defaults", "_positional", "_signature", "_variadic", "guessed", "names")

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            self._signature, self.guessed = _signature(function)
        except (TypeError, ValueError) as error:
            raise KeyRuleError(f"the parameters of {function!r} are not known: {error}") from None
        parameters = list(self._signature.parameters.values())
        self.names = [parameter.name for parameter in parameters]
        self._count = len(parameters)
        self._variadic = any(parameter.kind in _VARIADIC for parameter in parameters)
        self._positional = sum(parameter.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        self._defaults = [_ABSENT if p.default is _EMPTY else p.default for p in parameters]
        self._by_keyword = {
            p.name: index for index, p in enumerate(parameters) if p.kind is not inspect.Parameter.POSITIONAL_ONLY
        }

    @property
    def without_self(self) -> list[inspect.Parameter]:
        """The parameters that callers pass."""
        parameters = list(self._signature.parameters.values())
        return parameters[1:] if self.names and self.names[0] in _SELF_NAMES else parameters

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        given = len(args)
        if self._variadic or given > self._positional:
            return self._bind_slowly(args, kwargs)
        if given == self._count and not kwargs:
            return args
        values = [*args, *self._defaults[given:]]
        for name, value in kwargs.items():
            index = self._by_keyword.get(name, -1)
            if index < given:  # an unknown name, or an argument given twice
                return self._bind_slowly(args, kwargs)
            values[index] = value
        for value in values:
            if value is _ABSENT:
                return self._bind_slowly(args, kwargs)
        return values

    def _bind_slowly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return [bound.arguments[name] for name in self.names]


def _signature(function: Any) -> tuple[inspect.Signature, bool]:
    """Return the parameters of a call, and whether a wrapper that takes any arguments stands before them."""
    if inspect.ismethod(function):
        return inspect.signature(function), False
    guessed = False
    layers = wrapped_by(function)
    for layer in layers[:-1]:
        try:
            own = inspect.signature(layer, follow_wrapped=False)
        except (TypeError, ValueError):  # a wrapper written in C, such as lru_cache, passes all arguments on
            continue
        variadic = any(parameter.kind in _VARIADIC for parameter in own.parameters.values())
        if not variadic or getattr(layer, "__signature__", None) is not None:
            return own, guessed
        guessed = True
    return inspect.signature(layers[-1]), guessed


def _owner(fn: object, function: Any, names: list[str]) -> str | None:
    """Return the class of a method, judged by its qualified name and first parameter; ``None``: not a method."""
    if isinstance(fn, staticmethod) or not names:
        return None
    owner: str = getattr(function, "__qualname__", "").rpartition(".")[0]
    if owner and not owner.endswith("<locals>"):
        return owner
    return owner or "self" if names[0] in _SELF_NAMES else None


def _default_parts(name: str, count: int) -> tuple[str, list[_Part]]:
    head = f"{name}("
    return (
        (head, [(index, None, "," if index < count - 1 else ")") for index in range(count)])
        if count
        else (head + ")", [])
    )


_FIELD: Final = re.compile(r"([^\W\d]\w*)((?:\.[^\W\d]\w*)*)").fullmatch


def _compile(template: str, binder: _Binder, function: str) -> tuple[str, list[_Part], dict[int, str] | None]:
    """Return the text before the first field, the fields, and the characters to escape in their values as well."""
    check_key(template)
    names = binder.names

    def wrong(reason: str) -> KeyRuleError:
        fields = ", ".join(f"{{{name}}}" for name in names) or "none: it has no parameters"
        return KeyRuleError(f"key={template!r} of {function}: {reason}; its fields are {fields}")

    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise wrong(f"{error} (write {{{{ and }}}} for braces)") from None
    literals, fields = [""], list[tuple[int, Callable[[Any], Any] | None]]()
    for literal, field, spec, conversion in parsed:
        literals[-1] += literal
        if field is None:
            continue
        match = _FIELD(field)
        if spec or conversion:
            raise wrong(f"formats and conversions have no place in {{{field}}}")
        if match is None:
            raise wrong(f"{{{field}}} is neither a parameter nor an attribute of one")
        if match[1] not in names:
            raise wrong(f"unknown field {{{match[1]}}}")
        fields.append((names.index(match[1]), operator.attrgetter(match[2][1:]) if match[2] else None))
        literals.append("")
    if not fields and binder.without_self:
        raise wrong(f"it names none of them, so all calls would share one result; {_way_out(literals[0], binder)}")
    parts = [(index, attribute, tail) for (index, attribute), tail in zip(fields, literals[1:], strict=True)]
    return literals[0], parts, _escapes(literals[1:-1], wrong)


def _way_out(key: str, binder: _Binder) -> str:
    """Return advice on how to declare that no argument matters."""
    plain = all(p.default is _EMPTY and p.kind is p.POSITIONAL_OR_KEYWORD for p in binder.without_self)
    taken = ", ".join(binder.names) if plain else "*_, **__"
    return f"if that is meant, say so: key=lambda {taken}: {key!r}"


def _escapes(between: list[str], wrong: Callable[[str], KeyRuleError]) -> dict[int, str] | None:
    """Return the escapes for values that make the text between two fields a clear boundary.

    ``None`` if each such text has a character that no value contains, such as ``:``. Otherwise the characters of these
    texts are escaped in values.
    """
    if all(SEPARATORS.intersection(literal) for literal in between):
        return None
    # Escapes consist of hexadecimal digits and %.
    reserved = [set(literal) - set("0123456789ABCDEF%") for literal in between]
    if not all(reserved):
        raise wrong('two fields need a separator between them, such as ":"')
    escaped = set("%").union(*reserved)
    return {ord(char): "".join(f"%{byte:02X}" for byte in char.encode()) for char in escaped}
