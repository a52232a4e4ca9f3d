"""The rights to load that this process holds on the server: renewed while their loaders run, released afterwards.

A right is a *lease* where there is no entry, and a *claim* where there is an entry to replace. Either ends by itself
when its holder dies, so it is short, and this process renews it while a loader takes long.
"""

from collections.abc import Callable

from ..format.entry import GRACE
from .context import Load, PolicyContext
from .ports import Alarm

__all__ = ["Rights"]


class Rights:
    """The rights of all loads of one cache."""

    def __init__(self, ctx: PolicyContext) -> None:
        self._ctx = ctx
        self._held: list[tuple[Load, bytes, bytes | None]] = []

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
        ctx, lease = self._ctx, run.lease
        run.flight.loads = True
        ms = round(lease * 1000)
        alarms: list[Alarm] = []
        right = (run, expected_stamp, claim_token)

        def keep_base() -> None:
            # The entry must not end before its refresh does, or other processes would find none and load as well. It
            # stays expired: no life is added beyond the grace.
            ctx.shared.renew(run.key, expected_stamp, min(ms, round(GRACE * 1000)))

        def ring() -> None:
            if claim_token is None:
                ctx.shared.renew(run.key, expected_stamp, ms)
            else:
                ctx.shared.renew(run.key, claim_token, ms, claim=True)
                keep_base()
            alarms[:] = [ctx.ports.call_later(lease / 3, ring)]

        def stop() -> None:
            alarms[0].cancel()
            self._held.remove(right)

        if claim_token is not None:
            keep_base()
        alarms.append(ctx.ports.call_later(lease / 3, ring))
        self._held.append(right)
        return stop

    def release_all(self) -> None:
        """Release all leases and claims before closing: the fleet need not wait for loads that still run here."""
        for run, expected_stamp, claim_token in self._held:
            self.release(run, expected_stamp, claim_token)
