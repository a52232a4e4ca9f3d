"""What a function is called in its keys, so that no two functions of one cache share one.

1. A function is called by its module and qualified name. A script's module is what others would import it as.
2. What its name and arguments do not tell, a key must: a lambda, a function with captured variables, a bound method, a
   partial and a callable object are errors that ask for ``key=``. A decorator's wrapper without ``functools.wraps`` has
   the name of what it wraps, if it takes any arguments and has captured that function alone.
3. In one cache a name is one function. Another one of that name is an error, unless it comes from the same file: then
   it is the same function edited (a reload, a notebook cell), and its name carries a digest of its code.
"""

import hashlib
import inspect
from types import CellType, CodeType, FunctionType
from typing import Any, Final

from ..errors import KeyRuleError

__all__ = ["Names", "module_of", "wrapped_by"]

_DIGEST_BYTES: Final = 6  # two versions of one function meet with a chance of one in 10**14
_MAX_LAYERS: Final = 100  # decorators on one function: far more than anybody writes, so that no circle hangs us
# The module that a program starts as, in itself and in what multiprocessing spawns of it.
_MAIN: Final = ("__main__", "__mp_main__")
# What Python fills in by itself: the class of a method that calls super(); and a function's own type parameters.
_OF_THE_CLASS: Final = "__class__"
_TAKES_ANYTHING: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def module_of(function: Any) -> str:
    """The module that a function is in, by the name that it has for others.

    ``__main__`` of ``python -m shop.jobs`` is ``shop.jobs``, of ``python jobs.py`` it is ``jobs``.
    """
    module: str = getattr(function, "__module__", None) or ""
    if module not in _MAIN:
        return module
    known = getattr(function, "__globals__", {})
    spec, file = getattr(known.get("__spec__"), "name", None), known.get("__file__")
    if spec is None and file:
        return str(file).replace("\\", "/").rpartition("/")[2].partition(".")[0]
    return spec or "__main__"


def wrapped_by(function: Any) -> list[Any]:
    """The function and what it wraps, outermost first."""
    layers = [function]
    while (inner := _wrapped(layers[-1])) is not None and len(layers) < _MAX_LAYERS:
        layers.append(inner)
    return layers


def _wrapped(function: Any) -> Any:
    inner = getattr(function, "__wrapped__", None)
    return _passed_on_to(function) if inner is None else inner


def _passed_on_to(function: Any) -> Any:
    """The function that a wrapper without ``functools.wraps`` passes all its arguments on to; ``None``: it is none."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & _TAKES_ANYTHING != _TAKES_ANYTHING:
        return None
    captured = [*_captured(function, [function]).values()]
    return captured[0] if len(captured) == 1 and isinstance(captured[0], FunctionType) else None


class Names:
    """The names of one cache's functions.

    Example:
        >>> def locate(ip: str) -> str: ...
        >>> Names().take(locate).endswith("locate")
        True
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, _Origin] = {}

    def take(self, function: Any, prefix: str = "") -> str:
        """The name of a function that is being decorated, in the namespace with this prefix.

        Raises:
            KeyRuleError: It has none of its own, or another function has it.
        """
        name = getattr(function, "__qualname__", None)
        if name is None or inspect.ismethod(function):
            raise KeyRuleError(
                f"{name or type(function).__qualname__}: bound methods, partials and callable objects hold more than "
                "their arguments show: pass key="
            )
        layers = wrapped_by(function)
        function = next(layer for layer in layers if hasattr(layer, "__wrapped__") or _passed_on_to(layer) is None)
        name = getattr(function, "__qualname__", name)
        _check_own(name, layers)
        module, origin = module_of(function), _Origin(layers)
        full = f"{module}.{name}"
        edited = f"{full}@{origin.digest}"
        # A prompt's or a notebook's functions have no module that tells them from those of another.
        for candidate in (full, edited) if module != "__main__" else (edited,):
            known = self._known.setdefault(prefix + candidate, origin)
            if known.file != origin.file:
                raise KeyRuleError(
                    f"{full} is the name of another function in this cache already, which is in {known.where}: "
                    "rename one of them, or pass key="
                )
            if known.digest == origin.digest:
                if not known.is_wrapped_like(origin):
                    raise KeyRuleError(f"{full} is in this cache already with other decorators below: pass key=")
                return candidate
        raise AssertionError("a digest is equal to itself")


def _check_own(name: str, layers: list[Any]) -> None:
    """Whether a function's name and arguments tell all that its results depend on."""
    inner = layers[-1]
    if name.endswith("<lambda>") or getattr(inner, "__name__", "") == "<lambda>":
        raise KeyRuleError(f"{name}: a lambda has no name that tells it from others: pass key=, or write a def")
    captured = _captured(inner, layers)
    if not captured:
        return
    what = ", ".join(captured)
    ways = f"pass key=, or make it an argument, as in `def f(n, {next(iter(captured))}=...)`"
    if any(map(callable, captured.values())):
        ways = "pass key=, or, if this is a decorator's wrapper, give it functools.wraps"
    raise KeyRuleError(f"{name} captures {what}, of which its keys would not tell: {ways}")


def _captured(function: Any, layers: list[Any]) -> dict[str, Any]:
    """The captured variables with their values, but for what is the function's own, and itself if it calls itself."""
    code = getattr(function, "__code__", None)
    if code is None:
        return {}
    cells = zip(code.co_freevars, getattr(function, "__closure__", None) or (), strict=False)
    own = {_OF_THE_CLASS, *(parameter.__name__ for parameter in getattr(function, "__type_params__", ()))}
    values = {name: _content(cell) for name, cell in cells if name not in own}
    return {
        name: value
        for name, value in values.items()
        if not (name == function.__name__ and (value is _EMPTY or any(value is layer for layer in layers)))
    }


_EMPTY: Final = object()


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return _EMPTY


class _Origin:
    """Where a function comes from and what it is made of."""

    __slots__ = ("digest", "file", "where", "wrappers")

    def __init__(self, layers: list[Any]) -> None:
        inner = layers[-1]
        known = getattr(inner, "__globals__", None)
        code = getattr(inner, "__code__", None)
        file = None if known is None else known.get("__file__")
        # Without a file, functions of one namespace of globals are those of one notebook.
        self.file: object = file or id(inner if known is None else known)
        self.where = file or "no file"
        self.digest = _digest(b"" if code is None else _written(code))
        # Of each decorator below, its code and what it holds: a retry's count, or what makes another function of it.
        self.wrappers = [(getattr(layer, "__code__", None), _held(layer, layers)) for layer in layers[:-1]]

    def is_wrapped_like(self, other: "_Origin") -> bool:
        """Whether the decorators below are the same, and hold the same."""
        mine, theirs = self.wrappers, other.wrappers
        return len(mine) == len(theirs) and all(
            code == code2 and len(held) == len(held2) and all(map(_is_same, held, held2))
            for (code, held), (code2, held2) in zip(mine, theirs, strict=True)
        )


def _held(wrapper: Any, layers: list[Any]) -> list[Any]:
    """What a wrapper has captured beside what it wraps."""
    captured = _captured(wrapper, layers).values()
    return [value for value in captured if not any(value is layer for layer in layers)]


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    code = getattr(one, "__code__", None)
    if code is not None:  # a function that the decorator was given, such as a predicate: made anew at each decoration
        return code is getattr(other, "__code__", None) and not getattr(one, "__closure__", None)
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - foreign comparisons may raise anything; then they are not known to be the same
        return False


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=_DIGEST_BYTES).hexdigest()


def _written(code: CodeType) -> bytes:
    """What a function does, without the lines and the file where it stands; the same in every process."""
    consts = [_written(const) if isinstance(const, CodeType) else _const(const) for const in code.co_consts]
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return repr((code.co_code, code.co_exceptiontable, shape, names, consts)).encode()


def _const(value: Any) -> str:
    if isinstance(value, frozenset):  # of `in {...}`: its order changes from one process to the next
        return f"frozenset({sorted(map(_const, value))})"
    if isinstance(value, tuple):
        return f"({[_const(part) for part in value]})"
    return f"{type(value).__name__} {value!r}"
