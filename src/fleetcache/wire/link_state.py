"""The link: whether the server answers, as a state machine with time as an argument and without I/O.

Rules:

1. ``online`` is the only state in which calls are sent. In every other state the near cache or the loader answers.
2. *Head of line*: replies come in order, so when the oldest unanswered call is older than the operation timeout, every
   later one would wait behind it: ``suspect``. The next reply that leaves a young queue brings it back.
3. *Silence*: no command sent within ``max_staleness`` was answered: ``offline``; the connection is kept, any reply
   brings it back in the same epoch. After three times ``max_staleness`` the connection is aborted.
4. The listener is told of every step to ``online``, and whether a new epoch began. Near entries from another
   connection, and near entries that no server confirmed, must be dropped then.
5. The *horizon* is the time until which the near cache may be trusted: ``max_staleness`` after the newest answered
   command was sent, while the server answers; ``offline_ttl`` after it once the link is offline. While a question is
   open that newer answers do not settle, ``hold_to`` keeps the horizon from passing a *cap*.
6. The backoff starts over only after a connection that held for a while.
7. Handshakes that got no answer widen the backoff beyond that of failed connects: the server may have more of them than
   it can do. A server that has no place for another client is asked twice a minute at most by each client outside.
"""

from collections.abc import Callable
from enum import StrEnum

from .reasons import NEEDS_OPERATOR

__all__ = ["NEVER_LATE", "IllegalMoveError", "Link", "LinkState", "NoLink", "Verdict"]


class LinkState(StrEnum):
    """The states of the link."""

    CONNECTING = "connecting"  # from the start until the first attempt ends
    RECOVERING = "recovering"  # connected, the handshake runs
    ONLINE = "online"
    SUSPECT = "suspect"  # the oldest call is overdue: nothing is queued behind it
    OFFLINE = "offline"
    CLOSED = "closed"


_S = LinkState
_MOVES: dict[LinkState, frozenset[LinkState]] = {
    _S.CONNECTING: frozenset({_S.RECOVERING, _S.OFFLINE, _S.CLOSED}),
    _S.RECOVERING: frozenset({_S.ONLINE, _S.OFFLINE, _S.CLOSED}),
    _S.ONLINE: frozenset({_S.SUSPECT, _S.OFFLINE, _S.CLOSED}),
    _S.SUSPECT: frozenset({_S.ONLINE, _S.OFFLINE, _S.CLOSED}),
    _S.OFFLINE: frozenset({_S.RECOVERING, _S.ONLINE, _S.CLOSED}),
    _S.CLOSED: frozenset(),
}


# ``Link.late`` before the server is late for the first time.
NEVER_LATE = (-float("inf"), -float("inf"))
_HEARD = frozenset({_S.ONLINE, _S.SUSPECT})


class IllegalMoveError(AssertionError):
    """The link was moved between two states that the table does not connect: a defect here, never in the server."""


class Verdict(StrEnum):
    """The decision of ``check``: keep the connection, or abort it."""

    KEEP = "keep"
    ABORT = "abort"


class Link:
    """States, horizon and backoff of the one connection.

    Args:
        now: The time at construction.
        operation_timeout: Seconds one operation may take.
        max_staleness: Seconds that the near cache may be behind (promise 3).
        offline_ttl: Seconds that the near cache may answer once the server is silent.
        on_state: Called after each change: ``(old, new, new_epoch)``.
        vouch: Called with each new horizon, before ``on_state``.

    Attributes:
        late: From when to when the server was late, the last time; to infinity while it is. It is late no longer once
            it answers, or is known to be away.
    """

    # The first retry comes soon, for a server that restarts; the cap keeps "online within 2 s of its return".
    BACKOFF_FIRST, MAX_BACKOFF = 0.05, 1.0
    # The cap for a server that accepts connections and leaves handshakes unanswered. In 10 s one core does some
    # 150,000 handshakes without TLS, each of 65 µs; with TLS it does far fewer.
    BACKOFF_CROWDED = 10.0
    # For a server with all places taken. The second half is random: a client asks twice in 30 s at most, and is back
    # within 30 s of room.
    BACKOFF_FULL = 30.0
    # A wrong password does not correct itself: try rarely, so that no log fills up and no account is locked.
    BACKOFF_DOOMED = 10.0
    # Seconds after which a connection resets the backoff. If a shorter one did, a server that drops every connection
    # would be asked ten times a second.
    HELD = 10.0

    def __init__(
        self,
        now: float,
        *,
        operation_timeout: float,
        max_staleness: float,
        offline_ttl: float,
        on_state: Callable[[LinkState, LinkState, bool], None],
        vouch: Callable[[float], None] = lambda _horizon: None,
    ) -> None:
        self._operation_timeout = operation_timeout
        self._max_staleness = max_staleness
        self._offline_ttl = offline_ttl
        self._on_state, self._vouch = on_state, vouch
        self.state = LinkState.CONNECTING
        self.since = now
        self.reason: str | None = None
        self.epoch = 0
        self.attempts = 0
        self._unheard = 0  # handshakes in a row that got no answer
        self._ready_at = now
        self.tried = False
        self.connected = False
        self.confirmed = -float("inf")
        self._cap = float("inf")
        # One attribute: a caller in another thread reads both times at once.
        self.late = NEVER_LATE
        self._settle_trust()

    def __repr__(self) -> str:
        return f"<Link {self.state} epoch={self.epoch} reason={self.reason}>"

    @property
    def usable(self) -> bool:
        """Return True if calls may be sent."""
        return self.state is LinkState.ONLINE

    @property
    def away(self) -> bool:
        """Return True if the server is known to be away: neither just late, nor not tried yet."""
        return self.tried and self.state in (LinkState.OFFLINE, LinkState.RECOVERING)

    @property
    def serves(self) -> bool:
        """Return True if a connection is past its handshake, whether or not the server has answered recently."""
        return self.connected and self.state is not LinkState.RECOVERING

    def _move(self, to: LinkState, now: float, *, reason: str | None, new_epoch: bool = False) -> None:
        old = self.state
        if to not in _MOVES[old]:
            raise IllegalMoveError(f"the link cannot go from {old} to {to}")
        if to is LinkState.SUSPECT:
            self.late = (now, float("inf"))
        elif old is LinkState.SUSPECT:
            self.late = (self.late[0], now)
        self.state, self.since, self.reason = to, now, reason
        self._settle_trust()
        self._on_state(old, to, new_epoch)

    def _settle_trust(self) -> None:
        if self.state in _HEARD:
            until = self.confirmed + self._max_staleness
            if until > self._cap:  # noqa: PLR1730 - at each reply; a call of ``min`` costs more
                until = self._cap
        else:
            until = self.confirmed + self._offline_ttl
        self.trusted_until = until
        self._vouch(until)

    @property
    def vouched_until(self) -> float:
        """Return the time until which the newest answer vouches for the near cache, whatever the cap."""
        return self.confirmed + self._max_staleness

    def hold_to(self, cap: float) -> None:
        """Let no newer answer move the horizon beyond ``cap``; infinity lifts the cap."""
        self._cap = cap
        self._settle_trust()

    def bound(self, offline_ttl: float) -> float:
        """Return the time until which a call with this ``offline_ttl`` may trust the near cache."""
        return self.trusted_until if self.state in _HEARD else self.confirmed + offline_ttl

    def opened(self, now: float) -> None:
        """Record that a connection is open; the handshake may begin."""
        self.connected = True
        self._move(LinkState.RECOVERING, now, reason=self.reason)

    def ready(self, sent_at: float, now: float) -> None:
        """Record that the handshake is done; its last command was sent at ``sent_at``."""
        self.epoch += 1
        self._unheard = 0
        self._ready_at = now
        self.tried = True
        self.confirmed = sent_at
        self._move(LinkState.ONLINE, now, reason=None, new_epoch=True)

    def replied(self, sent_at: float, oldest: float | None, now: float) -> None:
        """Record the reply to a command sent at ``sent_at``; the oldest unanswered one was sent at ``oldest``."""
        if self.state is LinkState.RECOVERING:
            return
        if sent_at > self.confirmed:
            self.confirmed = sent_at
            self._settle_trust()
        young = oldest is None or now - oldest <= self._operation_timeout
        if self.state in (LinkState.SUSPECT, LinkState.OFFLINE) and self.connected and young:
            self._move(LinkState.ONLINE, now, reason=None)

    def check(self, oldest: float | None, now: float) -> Verdict:
        """Judge the silence. Call it when a deadline is due, after a check that no bytes wait in the socket."""
        if not self.connected or self.state in (LinkState.RECOVERING, LinkState.CLOSED) or oldest is None:
            return Verdict.KEEP
        if self.state is LinkState.ONLINE and now - oldest >= self._operation_timeout:
            self._move(LinkState.SUSPECT, now, reason="timeout")
        if self.state is LinkState.SUSPECT and now - self.confirmed >= self._max_staleness:
            self._move(LinkState.OFFLINE, now, reason="timeout")
        # Counted from the oldest unanswered call, not from the last reply: a process that slept sent no call meanwhile.
        return Verdict.ABORT if now - oldest >= 3 * self._max_staleness else Verdict.KEEP

    def lost(self, reason: str, now: float, *, shaking: bool = False) -> None:
        """Record that the connection, the attempt to connect or the handshake failed; ``shaking``: that of TLS."""
        handshake = shaking or self.state is LinkState.RECOVERING
        self._unheard = self._unheard + 1 if handshake and reason == "timeout" else 0
        held = self.serves and now - self._ready_at >= self.HELD
        if held or reason == "interrupted":  # by a signal here: not a fault of the server
            self.attempts = 0
        self.connected = False
        self.tried = True
        if self.state is LinkState.CLOSED:
            return
        if self.state is LinkState.OFFLINE:
            self.reason = reason
        else:
            self._move(LinkState.OFFLINE, now, reason=reason)

    def close(self, now: float) -> None:
        """Close the link for good."""
        self.connected = False
        if self.state is not LinkState.CLOSED:
            self._move(LinkState.CLOSED, now, reason="closed")

    def backoff(self, random: Callable[[], float]) -> float:
        """Return the seconds until the next attempt.

        The backoff is exponential, with full jitter so that a fleet does not come back all at once.
        """
        self.attempts += 1
        if self.reason in NEEDS_OPERATOR:
            return self.BACKOFF_DOOMED * (0.5 + random() / 2)
        if self.reason == "maxclients":
            return self.BACKOFF_FULL * (0.5 + random() / 2)
        return random() * (self._widened() or self.pause_after(self.attempts))

    def _widened(self) -> float:
        """Return the cap after handshakes that got no answer; 0 after one alone, which may be chance."""
        return min(self.BACKOFF_CROWDED, 2.0 ** (self._unheard - 1)) if self._unheard > 1 else 0.0

    @classmethod
    def pause_after(cls, attempts: int) -> float:
        """Return the longest pause after so many attempts in a row."""
        return min(cls.MAX_BACKOFF, cls.BACKOFF_FIRST * 2.0 ** min(attempts, 10))

    def next_check(self, oldest: float | None) -> float | None:
        """Return the latest time for the next ``check``; ``None`` while no call is unanswered."""
        if not self.connected or oldest is None:
            return None
        if self.state is LinkState.ONLINE:
            return oldest + self._operation_timeout
        if self.state is LinkState.SUSPECT:
            return self.confirmed + self._max_staleness
        return oldest + 3 * self._max_staleness


class NoLink:
    """The link of a cache without a server, by choice: near entries are bounded by their own lifetimes alone."""

    def __init__(self) -> None:
        # Attributes of the instance, as in Link: each near hit reads one, and attributes of a class take longer.
        self.state = LinkState.CLOSED
        self.away = self.serves = False
        self.late = NEVER_LATE
        self.trusted_until = self.confirmed = float("inf")
        self.since = 0.0
        self.epoch = 0
        self.reason: str | None = None

    def bound(self, offline_ttl: float) -> float:  # noqa: ARG002 - as Link
        """Return infinity: no server bounds the trust in the near cache."""
        return float("inf")
