"""Shows public names in the API reference the way that callers use them.

mkdocstrings loads ``PublicApi`` by its name (``mkdocs.yml``). It reads the source and imports nothing.
"""

import re
from typing import Any

from griffe import Class, Extension, Function, Object, ParameterKind

__all__ = ["PublicApi", "as_examples", "called_by_users", "shown"]

_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


def as_examples(docstring: str) -> str:
    """Return the docstring with its one example as a section of examples, which is shown as highlighted code."""
    return _EXAMPLE.sub(r"\1Examples:", docstring)


def called_by_users(function: Function) -> None:
    """Drop parameters that only serve error messages, such as ``*_others`` of ``cache.set``."""
    catching = {ParameterKind.var_positional, ParameterKind.var_keyword}
    for parameter in list(function.parameters):
        if parameter.name.startswith("_") and parameter.kind in catching:
            del function.parameters[parameter.name]


def shown(overloads: list[Function]) -> list[Function]:
    """Return the overloads that tell a reader more than the function does: those without ``**options: Unpack[...]``.

    The remaining ones are for type checkers. The function itself names each option with its default.
    """
    return [each for each in overloads if not any("Unpack[" in str(one.annotation) for one in each.parameters)]


class PublicApi(Extension):
    """Prepares each object as it is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Prepare one docstring."""
        if obj.docstring:
            obj.docstring.value = as_examples(obj.docstring.value)

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Prepare one signature, and those of its overloads."""
        func.overloads = shown(func.overloads or []) or None
        for each in [func, *(func.overloads or [])]:
            called_by_users(each)

    def on_class_members(self, *, cls: Class, **_: Any) -> None:
        """Prepare signatures of overloads, which the class keeps."""
        for name, overloads in cls.overloads.items():
            cls.overloads[name] = shown(overloads)
            for each in overloads:
                called_by_users(each)
