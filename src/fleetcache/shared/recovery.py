"""The cache's step of a handshake, and the replay of pending removals on the live connection.

The step runs before any entry is read, in this order: end the previous connection; load the scripts that the server
lacks; if the server is not the known one, distrust entries whose removal it may have forgotten; repeat the removals
that it may have missed; replay the journal; release rights to load that are in doubt; read the version of the tag on
every entry. All of it is one write, or one for each ``CHUNK`` of commands. The questions of the handshake tell what is
left to do: if that is nothing, their answer is the version of the tag, and nothing is written.

Rules of the heartbeat, while the link is online:

1. The heartbeat asks for the server's identity and reads a key, in one write. A server that has become a replica is
   given up, whatever else it answers.
2. A primary with another history than the link's is another server: the whole near cache is cleared, and recent
   removals are repeated. A server that does not name its history counts as the same. A server that refuses ``INFO`` is
   not asked again.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..clock import Clock
from ..format.keys import ALL, ALL_TAG, Layout, Target
from ..log import TELL, Teller
from ..near.coherence import Coherence
from ..near.recent_removals import History
from ..near.tag_versions import is_of_run, new_version, run_mark
from ..telemetry.stats import Counters
from ..wire.handshake import Ask, Heard, ServerInfo
from ..wire.reasons import TRANSIENT, reply_reason
from ..wire.server_evictions import ASKED
from ..wire.server_role import ASK_STANDING, Standing
from ..wire.session import Call, Command, OwnCall, ReplyError
from ..wire.tracking_table import LIMIT, TrackingTable
from .replies import judged
from .scripts import SCRIPTS, mint_command
from .store import Shared
from .stray_rights import Right

__all__ = ["Recovery"]

# Answers after which the version of the tag on every entry is asked for once more, with the script's whole text.
_LATER = TRANSIENT | {"noscript"}
# Commands in one write of the handshake; more would delay everything else.
CHUNK = 500
# Backoff of the replay on the live connection, in seconds: the first repetition comes with the next heartbeat, the
# pause then doubles.
PAUSE_FIRST, MAX_PAUSE = 0.5, 10.0


class Recovery:
    """Replays pending removals, distrusts a restarted server, and makes the heartbeat's call.

    Args:
        trust_restart: ``CACHE_TRUST_RESTART``: keep entries although the server restarted or failed over.
        version: 16 new random bytes, for a tag that has no version.
        tell: Writes to the log.

    Attributes:
        replayed: Removals that the last handshake replayed.
        table: The server's tracking table.
    """

    def __init__(
        self,
        coherence: Coherence,
        layout: Layout,
        shared: Shared,
        counters: Counters,
        clock: Clock,
        *,
        trust_restart: bool,
        version: Callable[[], bytes],
        tell: Teller = TELL,
    ) -> None:
        self._coherence, self._layout, self._shared = coherence, layout, shared
        self._counters, self._clock = counters, clock
        self._trust_restart, self._version, self._tell = trust_restart, version, tell
        self._next_replay = 0.0
        self._pause = PAUSE_FIRST
        self._pending = self._turn = 0
        self._greeting = ServerInfo()
        self._histories: set[str | None] = set()  # the histories that this link has seen
        self.replayed = 0
        self.table = TrackingTable(clock, self._warn_of_table)
        # The handshake's own read of the tag on every entry: when it was sent, and whether a push overtook it.
        self._asked_at, self._star = 0.0, coherence.open_fill(ALL_TAG)
        coherence.close_fill(self._star)
        self._unread = False  # whether the version of the tag must be asked for once more
        shared.on_mended = self._retry_soon

    def questions(self) -> tuple[Command, ...]:
        """Return the cache's questions: the scripts that are there, the server's numbers, the tag on every entry."""
        coherence = self._coherence
        self._asked_at, self._star = self._clock(), coherence.open_fill(ALL_TAG, (ALL_TAG,))
        exist: Command = ("SCRIPT", "EXISTS", *(script.sha for script in SCRIPTS.values()))
        return exist, ASKED, LIMIT, ("GET", self._layout.tag(ALL_TAG))

    async def recover(self, ask: Ask, greeting: ServerInfo, answers: list[Any], first: Sequence[Heard]) -> None:
        """Run the cache's step of the handshake.

        Args:
            ask: Sends commands and returns their replies.
            greeting: The server's statements on itself.
            answers: The replies to ``questions``.
            first: Commands to send before all others.
        """
        coherence, turnover = self._coherence, self._coherence.turnover
        there, stats, limit, version = answers
        coherence.tracking = greeting.tracking
        coherence.copies.clear()
        self._greeting, self._histories = greeting, {greeting.standing.replid}
        self._shared.reads.run = run_mark(greeting.run_id)
        tells = greeting.run_id is not None  # else INFO lacks a run id or is refused
        turnover.begin(tells=tells)
        self.table.begin(tells=tells and greeting.tracking)
        if turnover.is_due():
            self._told_of_server([stats, limit])
        unknown = _unknown_scripts(there)
        loads = [Heard(("SCRIPT", "LOAD", SCRIPTS[name].text)) for name in unknown]
        owed = [*self._distrust(version), *self._replay(), *self._release_strays(greeting)]
        # A copy that a push has overtaken, or that may be removed now, is no copy to keep.
        is_known = self._star.valid and isinstance(version, bytes) and not owed
        coherence.close_fill(self._star)
        if is_known:
            coherence.keep_version(ALL_TAG, version, self._asked_at)
        await self._catch_up(ask, [*first, *loads, *owed], whole="mint" in unknown, minting=not is_known)
        coherence.recent.history = _history(greeting)
        self._counters.replayed += self.replayed

    async def _catch_up(self, ask: Ask, owed: list[Heard], *, whole: bool, minting: bool) -> None:
        """Send the commands, and after them the one that reads or makes the version of the tag on every entry."""
        if minting:
            owed = [*owed, self._mint(whole=whole)]
        self._unread = False
        for start in range(0, len(owed), CHUNK):
            await ask(*owed[start : start + CHUNK], patient=False)
        if self._unread:
            await ask(self._mint(whole=True))

    def _mint(self, *, whole: bool) -> Heard:
        # Handled in frame order: an invalidation push that follows the reply must find the copy that it drops.
        sent_at = self._clock()

        def minted(reply: Any) -> None:
            said = judged("mint", reply)
            self._unread = isinstance(said, ReplyError) and reply_reason(said) in _LATER
            if not self._unread:
                self._shared.reads.minted(ALL_TAG, said, sent_at)

        version = new_version(self._version(), self._shared.reads.run)
        return Heard(mint_command(self._layout, ALL_TAG, version, whole=whole), minted)

    def _told_of_server(self, replies: list[Any]) -> None:
        """Handle the replies to the questions about the server's evictions and its tracking table."""
        self._coherence.turnover.heard(replies[0])
        self.table.heard(*replies)

    def _warn_of_table(self, filling: str) -> None:
        text = "tracking table: it is nearly full (%s); when it is full, entries are dropped that nobody changed"
        self._tell(logging.WARNING, "tracking_table", text, filling, reason="tracking_table")

    def _distrust(self, version: Any) -> list[Heard]:
        """Distrust all entries if the server restarted or failed over: it may have forgotten acknowledged removals.

        The version of the tag on every entry names the run of the server that it was made under. A version from another
        run is removed by compare-and-delete, so that the fleet goes cold once and not once per instance. If the run is
        unknown, an instance that has seen a version before treats any version as one from another run.
        """
        run = self._shared.reads.run
        if self._trust_restart or (not run and self._coherence.last_all is None):
            return []
        if not isinstance(version, bytes) or (run and is_of_run(version, run)):
            return []

        def released(reply: Any) -> None:
            if isinstance(judged("release", reply), ReplyError):
                self._coherence.defer(ALL, self._coherence.journal.next())

        return [Heard(SCRIPTS["release"].call(self._layout.tag(ALL_TAG), version, whole=True), released)]

    def _replay(self) -> list[Heard]:
        """Return the pending removals, and recent removals that this server may have missed."""
        journal, recent = self._coherence.journal, self._coherence.recent
        pending = journal.in_order()
        history = _history(self._greeting)
        pending += [(target, journal.next()) for target in recent.missed_by(history) if target not in journal.pending]
        self.replayed = 0
        return [Heard(self._removal(target), partial(self._removed, target, number)) for target, number in pending]

    def _removed(self, target: Target, number: int, reply: Any) -> None:
        said = judged("DEL", reply)
        if isinstance(said, ReplyError):
            self._shared.record_refusal("remove", said, fatal=False)  # the link still goes online
            self._coherence.defer(target, number)
        else:
            self._coherence.journal.acknowledged(target, number)
            self._coherence.recent.done(target)
            self.replayed += 1

    def _release_strays(self, greeting: ServerInfo) -> list[Heard]:
        """Return the release of each right to load that the last connection left in doubt."""
        rights, release = self._shared.rights, SCRIPTS["release"]

        def released(right: Right, reply: Any) -> None:
            if not isinstance(judged("release", reply), ReplyError):
                rights.returned(right, surely=greeting.is_alone)

        return [Heard(release.call(*right, whole=True), partial(released, right)) for right in rights.pending()]

    def release_left(self) -> None:
        """Release rights that the handshake did not: their loads ended since, or the link was only suspect."""
        for raw, stamp in self._shared.rights.pending()[:CHUNK]:
            self._shared.release_raw(raw, stamp)

    def _removal(self, target: Target) -> Command:
        kind, name = target
        return ("DEL", self._layout.entry(name) if kind == "e" else self._layout.tag(name))

    def replay_now(self) -> None:
        """Replay on the live connection, as soon as it is no longer suspect."""
        self._pause = PAUSE_FIRST
        self._next_replay = 0.0
        self._replay_live()

    def _retry_soon(self) -> None:
        """Reset the backoff of the replay after a refusal has ended: the next replay is at most the first pause away.

        The replay does not start at once: a server that accepts one kind of command and refuses another, over and over,
        must not cause a storm of retries.
        """
        self._pause = PAUSE_FIRST
        self._next_replay = min(self._next_replay, self._clock() + PAUSE_FIRST)

    def _replay_live(self) -> None:
        pending = self._coherence.journal.in_order()
        now = self._clock()
        if not pending:  # all replayed: the next pending removal has not been refused yet
            self._pause, self._next_replay, self._pending = PAUSE_FIRST, 0.0, 0
            return
        if now < self._next_replay:
            return
        # While the journal shrinks, continue at once. The start rotates: removals that the server keeps refusing must
        # not starve the rest.
        shrinks = len(pending) < self._pending
        self._pause = PAUSE_FIRST if shrinks else min(MAX_PAUSE, self._pause * 2)
        self._next_replay = now if shrinks else now + self._pause
        self._pending = len(pending)
        first = self._turn % len(pending)
        self._turn = first + CHUNK
        for target, number in (pending[first:] + pending[:first])[:CHUNK]:
            self._counters.replayed += 1
            self._shared.remove(target, number)

    def heartbeat(self) -> Call:
        """Return the call that asks for the server's identity and the version of the tag on every entry, in one write.

        The call proves promise 3, and keeps the tag from looking idle to the server.
        """
        self._replay_live()
        if self._coherence.turnover.is_due():
            self._shared.ask_server((ASKED, *self.table.asks()), self._told_of_server)
        self.release_left()
        for raw, stamp in self._shared.rights.take_due():
            self._shared.release_raw(raw, stamp)
        read = ("GET", self._layout.tag(ALL_TAG))
        return OwnCall((ASK_STANDING, read) if self._greeting.is_watched else (read,), self._heard)

    def _heard(self, replies: list[Any], call: Call) -> None:
        """Handle the replies to a heartbeat."""
        *standing, version = *replies[:-1], judged("GET", replies[-1])
        if standing and not self._is_the_same(standing[0]):
            return
        if isinstance(version, ReplyError):
            self._shared.record_refusal("read", version)
        else:
            self._shared.record_success("read")
            self._coherence.recent.heard(self._clock())
            self._coherence.heard_all_tag(version, call.sent_at)

    def _is_the_same(self, reply: Any) -> bool:
        """Return True if the server's answers can be trusted, after handling a change of its history."""
        greeting, wire = self._greeting, self._shared.wire
        if isinstance(reply, ReplyError):
            greeting.is_watched = reply_reason(reply) in TRANSIENT
            return True
        standing = Standing.of(reply)
        if standing.is_replica and wire is not None:
            wire.fail("readonly", "the server was made a replica")
            return False
        if standing.replid is not None and standing.replid != greeting.standing.replid:
            self._change_history(standing)
        return True

    def _change_history(self, standing: Standing) -> None:
        """Handle a new history of the primary.

        It was demoted and promoted again, or got its first replica: a client cannot distinguish the two.
        """
        greeting, coherence = self._greeting, self._coherence
        if standing.replid in self._histories:  # an earlier history is back: several servers answer at this address
            greeting.is_watched = False
            text = "several servers: INFO reports them in turn; a replaced primary cannot be detected from here"
            self._tell(logging.WARNING, "several_servers", text)
            return
        self._histories.add(standing.replid)
        greeting.standing = standing
        coherence.forget_all()
        history = _history(greeting)
        for target in coherence.recent.missed_by(history):
            coherence.defer(target, coherence.journal.next())
        coherence.recent.history = history
        self.replay_now()


def _unknown_scripts(there: Any) -> list[str]:
    """Return the scripts that the server lacks: all of them, if it does not tell."""
    if not isinstance(there, list) or len(there) != len(SCRIPTS):
        return list(SCRIPTS)
    return [name for name, is_there in zip(SCRIPTS, there, strict=True) if is_there != 1]


def _history(greeting: ServerInfo) -> History:
    standing = greeting.standing
    return History(greeting.run_id, standing.replid, standing.former is not None)
