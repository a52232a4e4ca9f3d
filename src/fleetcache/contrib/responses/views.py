"""Unchanged views of a request's header fields, cookies, state and scope that record each read by name.

1. A read by name records that name. Iterating over a view, copying or comparing it records a read of all names.
2. A read of an absent name is recorded as well, because its absence may decide the answer.
3. Methods that the framework's classes get in a later release count as reading all, because they use the internal
   storage of these classes.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Self

from starlette.datastructures import Headers, State

__all__ = ["ALL_COOKIES", "ALL_HEADERS", "ALL_SCOPE", "ALL_STATE", "Cookies", "NamedState", "RequestHeaders", "Scope"]

ALL_HEADERS, ALL_COOKIES, ALL_STATE, ALL_SCOPE = "headers", "cookies", "state", "scope"

Note = Callable[[str], None]

# Keys of an ASGI scope that do not depend on the client, or that the key of a response holds anyway.
# Not ``raw_path``: two spellings of a path give one key.
_OPEN = {"type", "asgi", "method", "scheme", "server", "path", "query_string", "root_path", "app_root_path"}
_OPEN |= {"app", "router", "route", "endpoint", "path_params", "session"}
_OPEN_PREFIXES = ("fastapi", "starlette", "fleetcache")
_KEYS = {"headers": ALL_HEADERS, "state": ALL_STATE, "client": "client", "user": "user", "auth": "auth"}


class RequestHeaders(Headers):
    """``request.headers`` of a recorded request."""

    def __init__(self, note: Note, plain: Headers) -> None:
        self.__told, self.__plain = note, plain

    @property
    def _list(self) -> list[tuple[bytes, bytes]]:  # type: ignore[override] # an attribute in the base class
        self.__told(ALL_HEADERS)
        return list(self.__plain.raw)

    def __note(self, name: Any) -> None:
        self.__told(f"header {name.lower()}" if isinstance(name, str) else ALL_HEADERS)

    def __getitem__(self, key: str) -> str:
        self.__note(key)
        return self.__plain[key]

    def __contains__(self, key: Any) -> bool:
        self.__note(key)
        return key in self.__plain

    def getlist(self, key: str) -> list[str]:
        """Return all fields of one name."""
        self.__note(key)
        return self.__plain.getlist(key)


class NamedState(State):
    """``request.state`` of a recorded request.

    Args:
        note: Called with ``state`` when all of the state is read.
        note_one: Called with the name of a single entry that is read.
        own: Names of the entries that recorded code (dependencies, the endpoint) put there.
        state: The state of the request.
    """

    def __init__(self, note: Note, note_one: Note, own: set[str], state: dict[str, Any]) -> None:
        self.__dict__.update(_told=note, _told_one=note_one, _own=own, _plain=state)

    @property
    def _state(self) -> dict[str, Any]:  # type: ignore[override] # an attribute in the base class
        self.__dict__["_told"](ALL_STATE)
        plain: dict[str, Any] = self.__dict__["_plain"]
        return plain

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):  # Python's own lookups
            raise AttributeError(key)
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"'State' object has no attribute {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        del self[key]

    def __getitem__(self, key: str) -> Any:
        self.__dict__["_told_one"](key)
        return self.__dict__["_plain"][key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.__dict__["_own"].add(key)
        self.__dict__["_plain"][key] = value

    def __delitem__(self, key: str) -> None:
        self.__dict__["_told_one"](key)
        del self.__dict__["_plain"][key]


class Cookies(dict[str, str]):
    """``request.cookies`` of a recorded request.

    Attributes:
        asked: Whether any method was called. Extensions in compiled code, such as pydantic, read a ``dict`` without
            calling its methods.
    """

    def __init__(self, note: Note, plain: Mapping[str, str]) -> None:
        super().__init__(plain)
        self._told, self.asked = note, False

    def noted(self, name: object = None) -> None:
        """Record a read of one name; without a name, of all names."""
        self.asked = True
        self._told(f"cookie {name}" if isinstance(name, str) else ALL_COOKIES)

    def __getitem__(self, key: str) -> str:
        self.noted(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.noted(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Like the method of ``dict``; the read is recorded."""
        self.noted(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Like the method of ``dict``; the read is recorded."""
        self.noted(key)
        return super().pop(key, *default)


class Scope(dict[str, Any]):
    """``request.scope`` of a recorded request. Writes go into the framework's own scope as well."""

    def __init__(self, note: Note, plain: MutableMapping[str, Any]) -> None:
        super().__init__(plain)
        self._told, self._plain = note, plain

    def noted(self, name: object = None) -> None:
        """Record a read of one name; without a name, of all names."""
        if not isinstance(name, str):
            self._told(ALL_SCOPE)
        elif name not in _OPEN and not name.startswith(_OPEN_PREFIXES):
            self._told(_KEYS.get(name, f"scope.{name}"))

    def __getitem__(self, key: str) -> Any:
        self.noted(key)
        return self._plain[key]

    def __contains__(self, key: object) -> bool:
        self.noted(key)
        return key in self._plain

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._plain[key] = value

    def __delitem__(self, key: str) -> None:
        super().pop(key, None)
        del self._plain[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Like the method of ``dict``; the read is recorded."""
        self.noted(key)
        return self._plain.get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Like the method of ``dict``; the read is recorded."""
        self.noted(key)
        super().pop(key, None)
        return self._plain.pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Like the method of ``dict``; the read is recorded."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **named: Any) -> None:
        """Like the method of ``dict``; the framework's own scope is updated as well."""
        for key, value in dict(*others, **named).items():
            self[key] = value

    def __ior__(self, other: Any) -> Self:  # type: ignore[override, misc] # ``dict`` has several signatures
        self.update(other)
        return self


_WHOLE = ("__iter__", "__eq__", "__ne__", "__or__", "__ror__", "__repr__", "__reversed__")
_WHOLE_BY_NAME = ("keys", "values", "items", "copy", "popitem")


def _noting(*names: str) -> dict[str, Any]:
    """Return methods of ``dict`` that first record a read of all names."""

    def noting(name: str) -> Any:
        plain = getattr(dict, name)

        def method(self: Any, *args: Any) -> Any:
            self.noted()
            return plain(self, *args)

        return method

    return {name: noting(name) for name in names}


for _name, _method in _noting(*_WHOLE, *_WHOLE_BY_NAME).items():
    setattr(Cookies, _name, _method)
    setattr(Scope, _name, _method)
Cookies.__len__ = _noting("__len__")["__len__"]  # type: ignore[method-assign] # not of a scope: ``if request`` reads it
