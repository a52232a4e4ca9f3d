"""The comparison finds defects: a simulated server with one wrong detail soon disagrees with the real ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.simulation.server import SimClient, SimServer, on_scripts
from tests.simulation.server.command import Command
from tests.simulation.server.keyspace import Keyspace, Place, Stored
from tests.simulation.server.server import COMMANDS
from tests.simulation.server.tracking import Tracking
from tests.simulation.truth.comparing import compared, few, real, simulated
from tests.simulation.truth.sequences import sequence
from tests.simulation.truth.steps import difference
from tests.support.servers import Server

# Nearly all defects are found within the first dozen.
SEEDS = range(60)


def _noloop(patch: pytest.MonkeyPatch) -> None:
    def changed(self: Tracking, key: bytes) -> None:
        for client_id in self._holders.pop(key, ()):
            client = self._clients.get(client_id)
            if client is not None and client.tracking and not client.running:
                client.push(key)

    patch.setattr(Tracking, "changed", changed)


def _every_push_again_and_again(patch: pytest.MonkeyPatch) -> None:
    right = Tracking.changed

    def changed(self: Tracking, key: bytes) -> None:
        holders = dict(self._holders.get(key, {}))
        right(self, key)
        self._holders[key] = holders

    patch.setattr(Tracking, "changed", changed)


def _silent_when_found_due(patch: pytest.MonkeyPatch) -> None:
    def get(self: Keyspace, place: Place) -> Stored | None:
        stored = self._stored.get(place)
        if stored is not None and self._is_due(stored):
            del self._stored[place]
            return None
        return stored

    patch.setattr(Keyspace, "get", get)


def _silent_in_the_active_cycle(patch: pytest.MonkeyPatch) -> None:
    def remove_due(self: Keyspace, _limit: int | None) -> int:
        due = list(self._due())
        for place in due:
            del self._stored[place]
        return len(due)

    patch.setattr(Keyspace, "remove_due", remove_due)


def _prompt_when_due(patch: pytest.MonkeyPatch) -> None:
    right = SimServer.execute

    def execute(self: SimServer, client: SimClient, args: list[bytes]) -> None:
        self.expire_due()
        right(self, client, args)

    patch.setattr(SimServer, "execute", execute)


def _writes_register(patch: pytest.MonkeyPatch) -> None:
    def has_run(self: SimServer, client: SimClient, _command: Command, keys: list[bytes]) -> None:
        if client.tracking:
            self.tracking.register(client.id, keys)

    patch.setattr(SimServer, "has_run", has_run)


def _scripts_do_not_register(patch: pytest.MonkeyPatch) -> None:
    right = on_scripts._Run.call

    def call(self: Any, *args: Any) -> Any:
        register = self.server.tracking.register
        self.server.tracking.register = lambda _client, _keys: None
        try:
            return right(self, *args)
        finally:
            self.server.tracking.register = register

    patch.setattr(on_scripts._Run, "call", call)


def _own_push_before_the_reply(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimClient, "hold_back", lambda _self: None)


def _flush_says_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Tracking, "flushed", lambda self: self._holders.clear())


def _flush_forgets_nobody(patch: pytest.MonkeyPatch) -> None:
    right = Tracking.flushed

    def flushed(self: Tracking) -> None:
        holders = dict(self._holders)
        right(self)
        self._holders.update(holders)

    patch.setattr(Tracking, "flushed", flushed)


def _a_new_life_says_nothing(patch: pytest.MonkeyPatch) -> None:
    right = Keyspace.put

    def put(self: Keyspace, place: Place, stored: Stored) -> None:
        before = self.get(place)
        if before is not None and before.value == stored.value:
            self._stored[place] = stored
        else:
            right(self, place, stored)

    patch.setattr(Keyspace, "put", put)


def _removing_nothing_is_told(patch: pytest.MonkeyPatch) -> None:
    right = Keyspace.delete

    def delete(self: Keyspace, place: Place) -> bool:
        self._changed(place[1])
        return right(self, place)

    patch.setattr(Keyspace, "delete", delete)


def _registrations_end_with_tracking(patch: pytest.MonkeyPatch) -> None:
    right = COMMANDS["redis"]["CLIENT TRACKING"]

    def tracking(client: SimClient, args: list[bytes]) -> Any:
        for holders in client.server.tracking._holders.values():
            if args[0].upper() == b"OFF":
                holders.pop(client.id, None)
        return right.run(client, args)

    for commands in COMMANDS.values():
        patch.setitem(commands, "CLIENT TRACKING", replace(right, run=tracking))


def _the_killed_still_hear(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimClient, "drop", SimClient.end)


WRONG: list[Callable[[pytest.MonkeyPatch], None]] = [
    _noloop,
    _every_push_again_and_again,
    _silent_when_found_due,
    _silent_in_the_active_cycle,
    _prompt_when_due,
    _writes_register,
    _scripts_do_not_register,
    _own_push_before_the_reply,
    _flush_says_nothing,
    _flush_forgets_nobody,
    _a_new_life_says_nothing,
    _removing_nothing_is_told,
    _registrations_end_with_tracking,
    _the_killed_still_hear,
]


def test_each_wrong_server_is_found(fresh_server: StartServer) -> None:
    server = fresh_server()
    truth = []
    for seed in SEEDS:
        steps = sequence(seed)
        truth.append((steps, real(server, steps, simulated(server.engine, steps))))
    for wrong in WRONG:
        with pytest.MonkeyPatch.context() as patch:
            wrong(patch)
            found = any(difference(steps, seen, simulated(server.engine, steps)) for steps, seen in truth)
        assert found, f"the comparison does not see {wrong.__name__}"


def test_a_disagreement_is_told_in_a_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    _noloop(monkeypatch)
    with Server() as server:
        steps = few(server, sequence(0))
        story = compared(server, steps) or ""
    assert len(steps) <= 6, story
    assert "simulated" in story
