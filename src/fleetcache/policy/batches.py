"""Batches of keys: ``get_many`` and ``get_or_set_many``.

Two overlapping batches never wait for each other in a circle: a batch loads its granted keys and releases the rights
before it waits for a right that another caller holds.
"""

from collections.abc import Callable, Iterable
from typing import Any

from .batch_load import BatchLoad
from .batch_reads import BatchReads
from .context import Budget, PolicyContext
from .options import CallOptions
from .reading import Policy
from .streaming import Slices

__all__ = ["Batches"]

Loader = Callable[..., Any]


# Keys of one call of a loader. With more keys, leases would be held for long before the values are stored, and
# databases do not accept longer lists.
MAX_LOADED = 1000


class Batches:
    """``get_many`` and ``get_or_set_many``."""

    def __init__(self, ctx: PolicyContext, policy: Policy) -> None:
        self._ctx, self._policy, self._reads = ctx, policy, BatchReads(ctx)
        self.get_many = self._reads.get_many

    async def get_or_set_many(
        self, keys: Iterable[str], loader: Loader, options: CallOptions, declared: Any, group: str
    ) -> dict[str, Any]:
        """Return every value that the tiers or the loader know; the loader gets up to 1000 missing keys at a time."""
        wanted = list(dict.fromkeys(keys))
        budget = self._ctx.budget()
        found = await self._reads.get_many(wanted, declared, options, budget)
        missing = [key for key in wanted if key not in found]
        give_up, slices = self._ctx.ports.clock() + self._ctx.load_wait, Slices(self._ctx.ports)
        for first in range(0, len(missing), MAX_LOADED):
            await slices.rest()
            some = missing[first : first + MAX_LOADED]
            found.update(await self._load_some(some, loader, options, declared, group, give_up, budget))
            budget = self._ctx.budget()
        return {key: found[key] for key in wanted if key in found}

    async def _load_some(
        self,
        missing: list[str],
        loader: Loader,
        options: CallOptions,
        declared: Any,
        group: str,
        give_up: float,
        budget: Budget,
    ) -> dict[str, Any]:
        """Load missing keys, in rounds, until other callers have released all rights that they hold."""
        found: dict[str, Any] = {}
        waited: dict[str, tuple[bytes, float]] = {}
        late = False
        while missing:
            self._ctx.check_open()
            round_ = BatchLoad(
                self._reads, self._policy, missing, loader, options, declared, group, give_up, budget, waited
            )
            values, missing = await round_.run()
            found.update(values)
            if missing and not late and self._ctx.ports.clock() >= give_up:
                late = True
                self._ctx.counters.wait_timeouts += len(missing)
            if missing:
                budget = self._ctx.budget()  # the calls after the wait have their own operation timeout
                more = await self._reads.get_many(missing, declared, options, budget)
                found.update(more)
                missing = [key for key in missing if key not in more]
        return found
