"""Turns a loader's result into an answer: the lifetime that it sets itself, and values that cannot be stored."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import CodecError, ConfigError
from .context import Load, PolicyContext, kept_options
from .lookup import DecodedValue
from .options import CallOptions
from .results import Keep, NoStore
from .return_types import why_untyped

__all__ = ["Unwrapping"]

Loaded = tuple[DecodedValue, CallOptions | None, tuple[float, float]]
"""The answer, the options to keep it with, and when the loader started and how long it took."""

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

    async def loaded(self, run: Load, call: Callable[[Load], Awaitable[Any]]) -> Loaded:
        """Run the loader; return its result, or its error if that is stored like a value."""
        clock = self._ctx.ports.clock
        started = clock()
        try:
            result = await call(run)
        except Exception as error:
            kept = self._error(run, error)
            if kept is None:
                raise
            run.error = error
            return *kept, (started, clock() - started)
        cost = clock() - started
        return *self.unwrap(run, result), (started, cost)

    def _error(self, run: Load, error: Exception) -> tuple[DecodedValue, CallOptions] | None:
        """Return the error as an answer, and the options to keep it with; ``None``: it is not stored."""
        errors = run.options.errors
        time = None if errors is None else errors.time_of(error)
        if time is None:
            return None
        try:
            return self._ctx.entries.encode_error(error, errors), run.options.for_error(time)
        except CodecError as refused:
            if self._ctx.strict:
                raise refused from error
            self._count(run.group, type(error), refused)
            return None

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
            self._count(group, type(value), error if why is None else f"{error}; {why}")
            return DecodedValue(value, None, 0, declared)

    def _count(self, group: str, kind: type, said: object) -> None:
        """Count a result that cannot be stored, and report the first of its kind."""
        counters = self._ctx.counters
        counters.uncached += 1
        by = counters.uncached_by
        by[group if group in by or len(by) < MAX_UNCACHED else "others"] += 1
        if self._is_new(group, kind):
            text = "uncached: a result of %s (%s); it is answered but not kept"
            self._ctx.tell(logging.ERROR, "uncached", text, group, said)

    def _is_new(self, group: str, kind: type | None) -> bool:
        """Return whether this has not been reported yet, and record it; ``False`` once ``MAX_TOLD`` are recorded."""
        new = (group, kind) not in self._told and len(self._told) < MAX_TOLD
        if new:
            self._told.add((group, kind))
        return new
