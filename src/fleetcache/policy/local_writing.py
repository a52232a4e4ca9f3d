"""The rules of writing in a cache without a server: a change is made when its call returns.

So no removal is ever pending, and ``strict`` changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from ..format.keys import Target
from .context import NO_LOOK, Budget, PolicyContext
from .lookup import DecodedValue, Lookup
from .options import CallOptions
from .ports import Future
from .streaming import Slices

__all__ = ["Encoded", "LocalWriting"]


class Encoded:
    """Encoded values, all encoded before the first is sent.

    Values beyond the first 16 MB are encoded again when their turn comes.
    """

    KEPT = 16 * 1024 * 1024

    def __init__(self, ctx: PolicyContext, values: Mapping[str, Any], declared: Any) -> None:
        self._encode, self._values, self._declared = ctx.entries.encode, values, declared
        self._kept: dict[str, DecodedValue] = {}

    @classmethod
    async def of(cls, ctx: PolicyContext, values: Mapping[str, Any], declared: Any) -> Self:
        """Encode the values in slices.

        Raises:
            CodecError: A value cannot be encoded.
            Closed: The cache was closed meanwhile.
        """
        made, size = cls(ctx, values, declared), 0
        slices = Slices(ctx.ports) if len(values) > 1 else None
        for key, value in values.items():
            if slices is not None and slices.over:
                await slices.pause()
                ctx.check_open()
            answer = made._encode(value, declared)
            size += len(answer.payload or b"")
            if size <= cls.KEPT:
                made._kept[key] = answer
        return made

    def answer(self, key: str) -> DecodedValue:
        """Return the encoded value of a key."""
        return self._kept.get(key) or self._encode(self._values[key], self._declared)


class LocalWriting:
    """``Writing`` in the near cache alone."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx

    async def set(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> None:
        """Store one value, whether or not the key holds an entry."""
        await self.set_many({key: value}, options, declared, strict=strict)

    async def set_many(self, values: Mapping[str, Any], options: CallOptions, declared: Any, *, strict: bool) -> None:  # noqa: ARG002 - as ``Writing``
        """Store many values. None is stored before all are encoded."""
        ctx = self._ctx
        ctx.check_open()
        encoded = await Encoded.of(ctx, values, declared)
        ctx.counters.sets += len(values)
        slices = Slices(ctx.ports) if len(values) > 1 else None
        for key in values:
            if slices is not None and slices.over:
                await slices.pause()
            self._keep(key, encoded.answer(key), options)

    def send_set(self, answers: Mapping[str, DecodedValue], options: CallOptions) -> None:
        """Store many values."""
        self._ctx.counters.sets += len(answers)
        for key, answer in answers.items():
            self._keep(key, answer, options)

    def _keep(self, key: str, answer: DecodedValue, options: CallOptions) -> None:
        self._ctx.coherence.forget_key(key)
        self._ctx.keep_here(key, answer, self._ctx.of_one_entry(options), self._ctx.ports.clock())

    async def delete_many(self, keys: Iterable[str], *, strict: bool) -> int:  # noqa: ARG002 - as ``Writing``
        """Remove the keys; return how many live values there were."""
        self._ctx.check_open()
        removed, slices = 0, Slices(self._ctx.ports)
        for key in dict.fromkeys(keys):
            if slices.over:
                await slices.pause()
            removed += self._delete(key)
        return removed

    def _delete(self, key: str) -> bool:
        held = self._ctx.value_here(key)
        self.send_removals([("e", key)])
        return held is not None and self._ctx.ports.clock() < held.fresh_until

    async def invalidate(self, tags: Iterable[str], *, strict: bool) -> None:  # noqa: ARG002 - as ``Writing``
        """Remove every entry that carries one of the tags."""
        self._ctx.check_open()
        self.send_removals([("t", tag) for tag in tags])

    def send_removals(self, targets: Iterable[Target]) -> list[Future | None]:
        """Remove the targets; there is nothing to wait for."""
        for target in targets:
            self._ctx.coherence.begin_removal(target)
            self._ctx.counters.removals += 1
        return []

    async def add(self, key: str, value: Any, options: CallOptions, declared: Any, *, strict: bool) -> bool:  # noqa: ARG002 - as ``Writing``
        """Store the value if there is no fresh entry; return whether it was stored."""
        ctx = self._ctx
        ctx.check_open()
        answer = ctx.entries.encode(value, declared)
        if ctx.is_fresh_here(key, options):
            return False
        self._keep(key, answer, options)
        return True  # even if the memory is too small: ``False`` would claim that another call was first

    async def touch(self, key: str, ttl: float, options: CallOptions) -> bool:
        """Set the ttl of a fresh entry to ``ttl`` from now; return ``False`` if there is none."""
        self._ctx.check_open()
        return self._ctx.touch_here(key, ttl, options)

    async def look(self, key: str) -> tuple[Lookup, Budget]:  # noqa: ARG002 - as ``Writing``
        """Return "unavailable": there is no server to ask."""
        return NO_LOOK, self._ctx.budget()
