"""The server: its keys, its clients, and the path of one command through it.

It does nothing by itself: it runs commands as bytes come in, and expires, evicts, flushes and restarts on request.
"""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from random import Random

from . import on_connection, on_keys, on_scripts
from .client import SimClient
from .command import Command, NotSimulated
from .keyspace import Keyspace, Snapshot
from .resp import ErrorReply, Reply
from .state import Engine, State, forbidden, refusal
from .tracking import Tracking

__all__ = ["COMMANDS", "SimServer"]

_TABLE: dict[str, Command] = {**on_keys.TABLE, **on_connection.TABLE, **on_scripts.TABLE}
COMMANDS: dict[Engine, dict[str, Command]] = {
    "redis": _TABLE,
    "valkey": {name: replace(each, flags=each.flags | each.only_valkey) for name, each in _TABLE.items()},
}

_CONTAINERS = {"CLIENT", "CONFIG", "SCRIPT"}


class SimServer:
    """A Redis or Valkey, as far as this cache can tell.

    Args:
        clock: The server's wall clock, in seconds. It may jump.
        random: Makes all choices that a real server leaves to chance.
        maxmemory: Bytes; above it any key is evicted before the next command. None is no limit.
        engine: The engine, for the differences between both.

    Attributes:
        maxmemory: As given.
        tracking: The registrations of readers; ``tracking.most`` limits it.
        run_id: Names this life of the server.
        evicted: The number of keys evicted in this life.
        clients: The connected clients, by id.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random: Random,
        *,
        maxmemory: int | None = None,
        engine: Engine = "valkey",
    ) -> None:
        self.engine: Engine = engine
        self._state = State()
        self._clock, self._random, self.maxmemory = clock, random, maxmemory
        self.clients: dict[int, SimClient] = {}
        self._begin(None)

    def _begin(self, snapshot: Snapshot | None) -> None:
        self.run_id = f"{self._random.getrandbits(160):040x}"
        self.evicted = 0
        self.state.promotions = 0
        self.full = False
        self.evicted = 0
        self.scripts: dict[str, bytes] = {}
        self.tracking = Tracking(self.clients, self._random)
        self.keys = Keyspace(self._clock, self._random, self.tracking.changed, self._keeps_due, snapshot)
        self._ids = itertools.count(1)

    @property
    def state(self) -> State:
        """The error states, to be changed at any time; see ``go_on`` for the end of a pause."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        state.promotions += self._state.readonly and not state.readonly
        self._state = state

    @property
    def replid(self) -> str:
        """The name of the history."""
        return self._replid(self.state.promotions)

    @property
    def replid2(self) -> str:
        """The history before the last promotion of this life."""
        return self._replid(self.state.promotions - 1) if self.state.promotions else "0" * 40

    def _replid(self, promotions: int) -> str:
        """Derived from the life and its promotions, so that no random number is drawn for it."""
        return hashlib.sha1(f"{self.run_id} {promotions}".encode()).hexdigest()  # noqa: S324 - no secret

    # -- what happens to it ----------------------------------------------------------------------------------------

    def connect(self) -> SimClient:
        """Accept a connection."""
        client = SimClient(self, next(self._ids))
        self.clients[client.id] = client
        if len(self.clients) > self.state.max_clients:
            client.answer(ErrorReply("ERR max number of clients reached"))
            client.end()
        return client

    def expire_due(self, limit: int | None = None) -> int:
        """Let the active expiry cycle remove up to ``limit`` due keys. Return the number of removed keys."""
        return self.keys.remove_due(limit)

    def evict(self, key: bytes | None = None) -> bytes | None:
        """Evict one key, this one or any. Return it, or None if there was none."""
        place = self.keys.pick(key)
        if place is None:
            return None
        self.evicted += 1
        self.keys.remove(place)
        self.evicted += 1
        return place[1]

    def flush(self, database: int | None = None) -> None:
        """Empty one database, or all."""
        self.keys.flush(database)
        self.tracking.flushed()

    def snapshot(self) -> Snapshot:
        """Return a copy of all keys."""
        return self.keys.snapshot()

    def restart(self, snapshot: Snapshot | None = None) -> None:
        """End this life and begin another with these data, or with none. ``state`` stays as it is."""
        for client in list(self.clients.values()):
            client.drop()
        self._begin(snapshot)

    def go_on(self) -> None:
        """After ``state.paused`` has ended: run the commands that waited."""
        for client in list(self.clients.values()):
            client.go_on()

    # -- the way of a command --------------------------------------------------------------------------------------

    def execute(self, client: SimClient, args: list[bytes]) -> None:
        """Run one command; append its reply, and the pushes it causes, to the outgoing bytes."""
        client.running = True
        try:
            client.answer(self._reply(client, args))
        except ErrorReply as error:
            client.answer(error)
        client.let_go()
        client.running = False

    def _reply(self, client: SimClient, args: list[bytes]) -> Reply:
        name, command, words = self.look_up(args)
        if command is None:
            raise ErrorReply(f"ERR unknown {'subcommand' if ' ' in name else 'command'} '{name}'")
        if not command.takes(len(args)):
            raise ErrorReply(f"ERR wrong number of arguments for '{_as_named(name)}' command")
        refused = forbidden(name, command.flags, self.state, self.engine, authenticated=client.authenticated)
        if refused is None:
            self._make_room()
            refused = refusal(name, command.flags, self.state, self.engine, full=self.full)
        if refused is not None:
            raise refused
        client.hold_back()
        try:
            return command.run(client, words)
        finally:
            self.has_run(client, command, command.keys_among(words))

    def look_up(self, args: list[bytes]) -> tuple[str, Command | None, list[bytes]]:
        """Return a command's full name, its definition (None: unknown to servers), and its arguments.

        Raises:
            NotSimulated: Real servers know the command.
        """
        parts = 2 if args[0].upper().decode(errors="replace") in _CONTAINERS else 1
        name = " ".join(arg.upper().decode(errors="replace") for arg in args[:parts])
        if name in self.state.unknown:
            return name, None, []
        commands = COMMANDS[self.engine]
        if name not in commands:
            raise NotSimulated(name)
        return name, commands[name], args[parts:]

    def has_run(self, client: SimClient, command: Command, keys: list[bytes]) -> None:
        """Register the keys that a client has read, even by a command that fails."""
        if client.tracking and "readonly" in command.flags:
            self.tracking.register(client.id, keys)

    def must_wait(self, args: list[bytes]) -> bool:
        """Return True if the server is paused for such a command."""
        if not self.state.paused:
            return False
        _, command, _ = self.look_up(args)
        return command is not None and bool(command.flags & {"write", "may_replicate"})

    def _keeps_due(self) -> bool:
        return self.state.readonly or self.state.paused

    def _make_room(self) -> None:
        state, limit = self.state, self.maxmemory
        if limit is not None and not (state.paused or state.busy or state.readonly):
            while self.keys.size > limit and self.evict() is not None:
                pass
        self.full = state.oom and not state.readonly  # a replica leaves evictions to its primary
        self.tracking.limit()


def _as_named(name: str) -> str:
    return name.lower().replace(" ", "|")
