"""Deliberate defects that replace one method or more; rows of the table of rules name them, see ``tests/rules``."""

import asyncio
from typing import Any

from fleetcache.engine.aio import connection as aio
from fleetcache.near.coherence import Coherence
from fleetcache.near.journal import Journal
from fleetcache.near.store import Near
from fleetcache.policy.context import PolicyContext
from fleetcache.policy.limits import Limits
from fleetcache.policy.loading import Loading
from fleetcache.policy.lookup import ClaimReply, Lookup, NewEntry
from fleetcache.policy.outcome import Resolution
from fleetcache.policy.ports import LoaderEndedError
from fleetcache.policy.rights import Rights
from fleetcache.policy.single_flight import Flights
from fleetcache.policy.waits import Waits
from fleetcache.shared.commands import CommandSender
from fleetcache.shared.entries import Entries
from fleetcache.shared.recovery import Recovery
from fleetcache.shared.scripts import SCRIPTS
from fleetcache.shared.store import Shared
from fleetcache.wire import handshake
from fleetcache.wire import reconnect as keeper
from fleetcache.wire.handshake import Heard
from fleetcache.wire.link_state import Link, LinkState, Verdict
from fleetcache.wire.session import Session, invalidated
from tests.rules.rule import Exchange


def _nothing(*_args: Any, **_more: Any) -> None:
    """Do not."""


def _no(*_args: Any, **_more: Any) -> bool:
    return False


async def _not_now(*_args: Any, **_more: Any) -> None:
    """Do not."""


def fill_in_the_awaiting_coroutine() -> list[Exchange]:
    """Near is filled a turn after the reply was parsed."""
    fill = Coherence.fill

    def later(self: Coherence, token: Any, held: Any) -> bool:
        if token.valid:
            asyncio.get_running_loop().call_soon(self.near.put, token.key, held)
        return token.valid or fill(self, token, held)

    return [(Coherence, "fill", later)]


def noloop() -> list[Exchange]:
    """``CLIENT TRACKING ON NOLOOP``: the server pushes no change made by the cache's own commands."""
    original = handshake.handshake

    async def shake(ask: Any, *args: Any, **more: Any) -> Any:
        async def asked(*commands: Any, **options: Any) -> Any:
            track = ("CLIENT", "TRACKING", "ON")
            return await ask(*((*track, "NOLOOP") if command == track else command for command in commands), **options)

        return await original(asked, *args, **more)

    return [
        (keeper, "handshake", shake),
        (handshake._SelfTest, "judge", _nothing),
        (CommandSender, "expect_own", _nothing),
    ]


def no_fill_token() -> list[Exchange]:
    """Near takes a value that was read, even after a push for its key."""
    fill = Coherence.fill

    def blindly(self: Coherence, token: Any, held: Any) -> bool:
        token.valid = True
        return fill(self, token, held)

    return [(Coherence, "fill", blindly)]


def join_a_detached_flight() -> list[Exchange]:
    """A caller can join a flight whose key was removed since it began."""
    return [(Flights, "detach_key", _nothing)]


def capture_tags_after_the_load() -> list[Exchange]:
    """An entry gets its tags' versions at the time of the store."""
    send = Loading.send

    def sent(self: Loading, run: Any, right: Any, value: Any, captured: Any, times: Any) -> Any:
        now = self._ctx.coherence.captured(run.options.tags)
        return send(self, run, right, value, now or captured, times)

    return [(Loading, "send", sent)]


def counter_versions() -> list[Exchange]:
    """A missing tag begins at version one again."""
    stamp = Entries.stamp

    def counted(self: Entries, mark: bytes = b"V") -> bytes:
        return stamp(self, mark) if mark else b"0" * 15 + b"1"

    return [(Entries, "stamp", counted)]


def no_journal() -> list[Exchange]:
    """A removal that the server did not acknowledge is forgotten."""
    return [(Journal, "defer", _no)]


def replay_after_reads() -> list[Exchange]:
    """The journal is replayed some time after the handshake, and keys with pending removals are read until then."""
    return [(Recovery, "_replay", lambda _: []), (Journal, "has_pending_key", _no), (Journal, "has_pending_tag", _no)]


def horizon_from_receive_time() -> list[Exchange]:
    """Near is trusted from the time of a reply, not from the time of its command."""
    replied = Link.replied

    def received(self: Link, _sent_at: float, oldest: float | None, now: float) -> None:
        replied(self, now, oldest, now)

    return [(Link, "replied", received)]


def lease_not_voided_by_set() -> list[Exchange]:
    """The holder of a lease stores over any entry."""
    swap = Shared.swap

    def store(self: Shared, key: str, expected: bytes, entry: NewEntry) -> Any:
        if expected[:1] != b"L":
            return swap(self, key, expected, entry)
        if not self.may_send():
            return None
        raw = self._layout.entry(key)

        def answered(reply: Any, sent_at: float) -> bool:
            if reply != 1:
                return False
            self.expect_own(raw)
            self._entries.fill(entry, sent_at)
            return True

        return self.call_script("put", raw, (entry.blob, entry.server_ttl_ms), answered, self._ports.future())

    return [(Shared, "swap", store)]


def no_timer_for_waiters() -> list[Exchange]:
    """A caller that waits for a lease waits for the push only."""
    news = Waits.for_change

    async def forever(self: Waits, future: Any, _remaining: float, give_up: float) -> bool:
        return await news(self, future, float("inf"), give_up)

    return [(Waits, "for_change", forever)]


def near_kept_across_epochs() -> list[Exchange]:
    """Near's entries of an earlier connection are trusted on the next."""
    on_state = Coherence.on_state

    def kept(self: Coherence, new: LinkState, *, new_epoch: bool) -> None:
        on_state(self, new, new_epoch=new_epoch and False)

    return [(Coherence, "on_state", kept)]


def unconfirmed_served_online() -> list[Exchange]:
    """Values that shared did not confirm stay in near when the link is back."""
    return [(Near, "forget_unconfirmed", _nothing)]


def journal_not_replayed_on_a_live_link() -> list[Exchange]:
    """Pending removals wait for the next handshake."""
    return [(Recovery, "_replay_live", _nothing)]


def no_detach_for_a_tag() -> list[Exchange]:
    """A caller can join a flight whose tag was removed since it began."""
    return [(Flights, "detach_tag", _nothing)]


def claim_ignored() -> list[Exchange]:
    """A caller that finds an unusable entry loads it again, without a claim."""

    def granted(self: Shared, *_args: Any, **_more: Any) -> Any:
        if not self.may_send():
            return None
        future = self._ports.future()
        future.set_result(ClaimReply(granted=True))
        return future

    return [(Shared, "claim", granted)]


# -- more than were asked for ---------------------------------------------------------------------------------------


def trust_the_restarted() -> list[Exchange]:
    """A server that came back with an older past is trusted."""
    return [(Recovery, "_distrust", lambda *_: [])]


def rights_not_given_back() -> list[Exchange]:
    """A load that fails or is cancelled keeps its lease."""
    return [(Rights, "release", _nothing)]


def waiters_not_woken() -> list[Exchange]:
    """A push wakes no waiter."""
    return [(Coherence, "_wake", _nothing)]


def leases_not_renewed() -> list[Exchange]:
    """A load longer than its lease loses it."""
    return [(Shared, "renew", _nothing)]


def never_suspect() -> list[Exchange]:
    """Calls queue behind those that the server does not answer."""

    def keep(self: Link, _oldest: float | None, _now: float) -> Verdict:  # noqa: ARG001 - as Link's
        return Verdict.KEEP

    return [(Link, "check", keep)]


def any_push_is_our_own() -> list[Exchange]:
    """After a store by this instance, every push for that key counts as its own."""

    def push(self: Session, frame: list[Any]) -> None:
        keys = invalidated(frame)
        mine = self.__dict__.setdefault("mine", set())
        if self.expect_self_invalidation is not None:
            mine.add(self.expect_self_invalidation)
            self.expect_self_invalidation = None
        if keys and keys[0] in mine:
            self.on_own(keys[0])
        else:
            self._on_push(keys)

    return [(Session, "_push", push)]


# -- defects that the simulation found, put back -----------------------------------------------------------------------


def detached_flight_answers_all() -> list[Exchange]:
    """A look-up that a removal overtook also answers callers that came after the removal."""
    end = Flights.end

    def told(self: Flights, flight: Any, outcome: Any) -> None:
        others = outcome.others
        if outcome.own is Resolution.RETURN and others is Resolution.RETURN:
            detached, flight.detached = flight.detached, False
            end(self, flight, outcome)
            flight.detached = detached
        else:
            end(self, flight, outcome)

    return [(Flights, "end", told)]


def clear_forgotten_with_a_snapshot() -> list[Exchange]:
    """After a restart only the newest version of the tag on every entry is distrusted, not an older one."""

    def distrust(self: Recovery, _version: Any) -> list[Heard]:
        known = self._coherence.last_all
        return [] if known is None else [Heard(SCRIPTS["release"].call(self._layout.tag("*"), known, whole=True))]

    return [(Recovery, "_distrust", distrust)]


def timer_left_behind_by_sleep() -> list[Exchange]:
    """A timer set before the host slept is expected to ring in time."""
    arm, flush = aio.AioConnection._arm, aio.AioConnection._flush
    rings: dict[aio.AioConnection, float] = {}

    def armed(self: aio.AioConnection, when: float) -> None:
        rings[self] = when
        arm(self, when)

    def flushed(self: aio.AioConnection) -> None:
        asked = bool(self.session.queued)
        wake_at, self._wake_at = self._wake_at, -float("inf")
        flush(self)
        self._wake_at = wake_at
        due = self._clock() + self._limits.operation_timeout
        if asked and (self._timer is None or due < rings[self]):
            self._arm(due)

    return [(aio.AioConnection, "_arm", armed), (aio.AioConnection, "_flush", flushed)]


def token_outlives_its_call() -> list[Exchange]:
    """A closed token is accepted for a late reply, although no push can void it any more."""
    done = Coherence.close_fill

    def kept(self: Coherence, token: Any) -> None:
        valid = token.valid
        done(self, token)
        token.valid = valid

    return [(Coherence, "close_fill", kept)]


def ending_entries_claimed() -> list[Exchange]:
    """An entry is replaced although it may be gone before the claim is answered."""
    return [(Lookup, "is_ending", False)]


def joined_whatever_its_age() -> list[Exchange]:
    """A caller that joins a load without the server gets its value, even a very old one."""
    return [(PolicyContext, "unconfirmed_life", lambda *_args: float("inf"))]


def cancelled_refresh_raises_ours() -> list[Exchange]:
    """A caller that joins a refresh with a cancelled loader gets an internal error."""
    call = Limits.call

    async def called(self: Limits, run: Any) -> Any:
        try:
            return await call(self, run)
        except LoaderEndedError as error:
            raise RuntimeError("the loader was cancelled") from error

    return [(Limits, "call", called)]
