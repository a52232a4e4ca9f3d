"""The rights to load that this process holds on the server: renewed while their loaders run, released afterwards.

A right is a *lease* where there is no entry, and a *claim* where there is an entry to replace. Either ends by itself
when its holder dies, so it is short, and this process renews it while a loader takes long.
"""

from collections.abc import Callable
from functools import partial

from ..format.entry import GRACE
from .context import Load, PolicyContext
from .ports import Alarm

__all__ = ["Rights"]


class _Held:
    """One right, renewed every third of its length until ``stop``."""

    __slots__ = ("_alarm", "_ctx", "_ms", "claim_token", "expected_stamp", "run")

    def __init__(self, ctx: PolicyContext, run: Load, expected_stamp: bytes, claim_token: bytes | None) -> None:
        self._ctx, self._ms = ctx, round(run.lease * 1000)
        self.run, self.expected_stamp, self.claim_token = run, expected_stamp, claim_token
        if claim_token is not None:
            self._renew_base()
        self._alarm = self._next_alarm()

    def _next_alarm(self) -> Alarm:
        return self._ctx.ports.call_later(self.run.lease / 3, self._ring)

    def _ring(self) -> None:
        if self.claim_token is None:
            self._ctx.shared.renew(self.run.key, self.expected_stamp, self._ms)
        else:
            self._ctx.shared.renew(self.run.key, self.claim_token, self._ms, claim=True)
            self._renew_base()
        self._alarm = self._next_alarm()

    def _renew_base(self) -> None:
        # The entry must not end before its refresh does, or other processes would find none and load as well. It
        # stays expired: no life is added beyond the grace.
        self._ctx.shared.renew(self.run.key, self.expected_stamp, min(self._ms, round(GRACE * 1000)))

    def stop(self) -> None:
        """End the renewal."""
        self._alarm.cancel()


class Rights:
    """The rights of all loads of one cache."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._held: dict[_Held, None] = {}  # in order, so that the same run ends in the same way

    def __len__(self) -> int:
        return len(self._held)

    def release(self, run: Load, expected_stamp: bytes | None, claim_token: bytes | None) -> None:
        """Release the lease, or the claim."""
        if claim_token is not None:
            self._ctx.shared.unclaim(run.key, claim_token)
        elif expected_stamp is not None:
            self._ctx.shared.release(run.key, expected_stamp)

    def renew_while_loading(self, run: Load, expected_stamp: bytes, claim_token: bytes | None) -> Callable[[], None]:
        """Renew the right every third of its length while the loader runs; return a function that stops the renewal."""
        run.flight.loads = True
        held = _Held(self._ctx, run, expected_stamp, claim_token)
        self._held[held] = None
        return partial(self._stop, held)

    def _stop(self, held: _Held) -> None:
        held.stop()
        self._held.pop(held, None)

    def release_all(self) -> None:
        """Release all leases and claims before closing: the fleet need not wait for loads that still run here."""
        for held in self._held:
            self.release(held.run, held.expected_stamp, held.claim_token)
