"""Turns a loader's result into an answer: the lifetime that it sets itself, and values that cannot be stored."""

import logging
from typing import Any

from ..errors import CodecError, ConfigError
from .context import Load, PolicyContext, kept_options
from .lookup import DecodedValue
from .options import CallOptions
from .results import Keep, NoStore
from .return_types import why_untyped

__all__ = ["Unwrapping"]

# Functions counted by name, and functions and types reported in the log. Names come from code, so only names made at
# run time reach these bounds.
MAX_UNCACHED = 100
MAX_TOLD = 1000


class Unwrapping:
    """Unwraps the results of loaders, and reports values that cannot be stored."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._told: set[tuple[str, type | None]] = set()

    def unwrap(self, run: Load, result: Any) -> tuple[DecodedValue, CallOptions | None]:
        """Return the loader's result as an answer, and the options to keep it with; ``None``: keep nothing."""
        if isinstance(result, NoStore):
            return self._encoded(result.value, run, to_store=False), None
        if isinstance(result, Keep):
            options = kept_options(run.options, result.ttl, result.stale)
            return self._encoded(result.value, run), self._ctx.of_one_entry(options)
        return self._encoded(result, run), self._ctx.of_one_entry(run.options)

    def _encoded(self, value: Any, run: Load, *, to_store: bool = True) -> DecodedValue:
        """Return the encoded value; a value that cannot be encoded is returned as it is, for its own caller only."""
        ctx, declared, group = self._ctx, run.declared, run.group
        why = why_untyped(run.loader) if declared is Any and to_store else None
        if why is not None:
            if ctx.strict:
                raise ConfigError(f"{group}: {why}")
            if self._is_new(group, None):
                text = "unresolved: the results of %s (%s); they have no declared type"
                ctx.tell(logging.WARNING, "unresolved", text, group, why)
        try:
            return ctx.entries.encode(value, declared)
        except CodecError as error:
            if not to_store:
                return DecodedValue(value, None, 0, declared)
            if ctx.strict:
                raise
            ctx.counters.uncached += 1
            by = ctx.counters.uncached_by
            by[group if group in by or len(by) < MAX_UNCACHED else "others"] += 1
            if self._is_new(group, type(value)):
                said = error if why is None else f"{error}; {why}"
                text = "uncached: a result of %s (%s); it is answered but not kept"
                ctx.tell(logging.ERROR, "uncached", text, group, said)
            return DecodedValue(value, None, 0, declared)

    def _is_new(self, group: str, kind: type | None) -> bool:
        """Return whether this has not been reported yet, and record it; ``False`` once ``MAX_TOLD`` are recorded."""
        new = (group, kind) not in self._told and len(self._told) < MAX_TOLD
        if new:
            self._told.add((group, kind))
        return new
