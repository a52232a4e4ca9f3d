"""Names of functions in their keys, so that no two functions of one cache share a name.

1. A function's name is its module and qualified name. The module of a script is the name that an import would use.
2. A function whose results depend on more than its name and arguments needs ``key=``: a lambda, a function with
   captured variables, a bound method, a partial and a callable object are errors that ask for it. A decorator's wrapper
   without ``functools.wraps`` has the name of the wrapped function, if the wrapper takes any arguments and has captured
   that function alone.
3. In one cache a name belongs to one function. A second function of that name is an error, unless it comes from the
   same file: then it is the same function, edited (a reload, a notebook cell), and its name carries a digest of the
   code.
"""

import hashlib
import inspect
from types import CellType, CodeType, FunctionType
from typing import Any, Final

from ..errors import KeyRuleError

__all__ = ["Names", "module_of", "wrapped_by"]

_DIGEST_BYTES: Final = 6  # two versions of one function collide with a chance of one in 10**14
_MAX_LAYERS: Final = 100  # decorators on one function: far more than any real one has, so that a cycle ends
# The module that a program starts as, in its own process and in the processes that multiprocessing spawns.
_MAIN: Final = ("__main__", "__mp_main__")
# Captured variables that Python itself fills in: the class of a method that calls super(), and type parameters.
_OF_THE_CLASS: Final = "__class__"
_TAKES_ANYTHING: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def module_of(function: Any) -> str:
    """Return the module of a function, by the name that other modules import it under.

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
    """Return the function and the functions that it wraps, outermost first."""
    layers = [function]
    while (inner := _wrapped(layers[-1])) is not None and len(layers) < _MAX_LAYERS:
        layers.append(inner)
    return layers


def _wrapped(function: Any) -> Any:
    inner = getattr(function, "__wrapped__", None)
    return _passed_on_to(function) if inner is None else inner


def _passed_on_to(function: Any) -> Any:
    """Return the function to which a wrapper without ``functools.wraps`` passes all arguments; ``None``: no wrapper."""
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
        """Return the name of a function that is being decorated, in the namespace with this prefix.

        Raises:
            KeyRuleError: The function has no name of its own, or another function already has this name.
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
        # Functions of a prompt or a notebook all have the module __main__, in every prompt and notebook.
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
    """Raise ``KeyRuleError`` unless a function's results depend on nothing but its name and arguments."""
    inner = layers[-1]
    if name.endswith("<lambda>") or getattr(inner, "__name__", "") == "<lambda>":
        raise KeyRuleError(f"{name}: a lambda has no unique name: pass key=, or write a def")
    captured = _captured(inner, layers)
    if not captured:
        return
    what = ", ".join(captured)
    ways = f"pass key=, or make it an argument, as in `def f(n, {next(iter(captured))}=...)`"
    if any(map(callable, captured.values())):
        ways = "pass key=, or, if this is a decorator's wrapper, give it functools.wraps"
    raise KeyRuleError(f"{name} captures {what}, which its keys would not show: {ways}")


def _captured(function: Any, layers: list[Any]) -> dict[str, Any]:
    """Return the captured variables with their values.

    Left out are the variables that Python fills in, and the function itself if it is recursive.
    """
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
    """A function's file, the digest of its code, and its decorators."""

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
        # The code of each decorator below, and the values it captured: a retry's count changes the function.
        self.wrappers = [(getattr(layer, "__code__", None), _held(layer, layers)) for layer in layers[:-1]]

    def is_wrapped_like(self, other: "_Origin") -> bool:
        """Return True if the decorators below are the same, and captured the same values."""
        mine, theirs = self.wrappers, other.wrappers
        return len(mine) == len(theirs) and all(
            code == code2 and len(held) == len(held2) and all(map(_is_same, held, held2))
            for (code, held), (code2, held2) in zip(mine, theirs, strict=True)
        )


def _held(wrapper: Any, layers: list[Any]) -> list[Any]:
    """Return the values that a wrapper has captured besides the functions it wraps."""
    captured = _captured(wrapper, layers).values()
    return [value for value in captured if not any(value is layer for layer in layers)]


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    code = getattr(one, "__code__", None)
    if code is not None:  # an argument of the decorator, such as a predicate: a new object at each decoration
        return code is getattr(other, "__code__", None) and not getattr(one, "__closure__", None)
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - foreign comparisons may raise anything; the values then count as different
        return False


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=_DIGEST_BYTES).hexdigest()


def _written(code: CodeType) -> bytes:
    """Return the content of a code object without its file and line numbers; the same in every process."""
    consts = [_written(const) if isinstance(const, CodeType) else _const(const) for const in code.co_consts]
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return repr((code.co_code, code.co_exceptiontable, shape, names, consts)).encode()


def _const(value: Any) -> str:
    if isinstance(value, frozenset):  # of `in {...}`: a frozenset's order differs between processes
        return f"frozenset({sorted(map(_const, value))})"
    if isinstance(value, tuple):
        return f"({[_const(part) for part in value]})"
    return f"{type(value).__name__} {value!r}"
