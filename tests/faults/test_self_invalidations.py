"""Our storing scripts read a key before they write it, so the server pushes to us, too: the exact pushes and times.

This proves ``CommandSender.expect_own``: one own push, as the very next frame, exactly if the reply says it wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.format.entry import pack, tag_section
from fleetcache.policy.context import LoadTimes
from fleetcache.shared.commands import CommandSender
from fleetcache.shared.scripts import SCRIPTS
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server
from tests.support.waiting import eventually

KEY = b"trap:e:k"
HEAD = b"V" + b"h" * 16
LEASE = b"L" + b"t" * 16
VERSION = b"v" * 16
FAILED = b"F" + b"f" * 16 + b"2 3000"
STARTED = pack(HEAD, 0, (600.0, 0.0, 0.0), tag_section((("*", VERSION),)), 1, signed=False) + b"1"


@dataclass(frozen=True)
class Case:
    """A script, the value under its key before it, and the result."""

    script: str
    args: tuple[bytes | int, ...]
    wrote: Callable[[Any], bool]
    writes: bool
    registered: bool
    before: bytes | None = None
    keep: int = 600_000  # ms

    def __str__(self) -> str:
        there = (
            "nothing"
            if self.before is None
            else {b"L": "lease", b"V": "entry", b"F": "mark"}.get(self.before[:1], "version")
        )
        return f"{self.script}-over-{there}-{'writes' if self.writes else 'refused'}"


def is_zero(reply: Any) -> bool:
    return bool(reply == 0)


def is_granted(reply: Any) -> bool:
    return isinstance(reply, int)


def is_one(reply: Any) -> bool:
    return bool(reply == 1)


def says_one_last(reply: Any) -> bool:
    return isinstance(reply, list) and reply[1:] == [1]


def says_one_first(reply: Any) -> bool:
    return isinstance(reply, list) and reply[0] == 1


CASES = [
    Case("acquire", (LEASE, 5000, 100), is_granted, writes=True, registered=True),
    Case("acquire", (LEASE, 5000, 100), is_granted, writes=True, registered=True, before=FAILED, keep=1000),
    Case("acquire", (LEASE, 5000, -1), is_granted, writes=False, registered=True, before=FAILED, keep=1000),
    Case("acquire", (LEASE, 5000, 100), is_granted, writes=False, registered=True, before=STARTED),
    Case("acquire", (LEASE, 5000, 100), is_granted, writes=False, registered=True, before=b"L" + b"o" * 16),
    Case("swap", (LEASE, FAILED, 3000), is_one, writes=True, registered=True, before=LEASE),
    Case("swap", (LEASE, STARTED, 60_000), is_one, writes=True, registered=True, before=LEASE),
    Case("swap", (HEAD, STARTED, 60_000), is_one, writes=True, registered=True, before=STARTED),
    Case("swap", (LEASE, STARTED, 60_000), is_one, writes=False, registered=True, before=STARTED),
    Case("swap", (LEASE, STARTED, 60_000), is_one, writes=False, registered=True),
    Case("put", (STARTED, 60_000), is_one, writes=True, registered=True),
    Case("put", (STARTED, 60_000), is_one, writes=True, registered=True, before=LEASE),
    Case("add", (STARTED, 60_000), is_zero, writes=True, registered=True),
    Case("add", (STARTED, 60_000), is_zero, writes=True, registered=True, before=LEASE),
    Case("add", (STARTED, 60_000), is_zero, writes=False, registered=True, before=STARTED),
    Case("renew", (LEASE, 60_000), is_one, writes=True, registered=True, before=LEASE, keep=5000),
    Case("renew", (LEASE, 1000), is_one, writes=False, registered=True, before=LEASE, keep=5000),
    Case("renew", (LEASE, 60_000), is_one, writes=False, registered=True),
    Case("release", (LEASE,), is_one, writes=True, registered=False, before=LEASE),
    Case("release", (LEASE,), is_one, writes=False, registered=True, before=STARTED),
    Case("mint", (VERSION, 60_000), says_one_last, writes=True, registered=True),
    Case("mint", (VERSION, 0), says_one_last, writes=True, registered=True),
    Case("mint", (VERSION, 60_000), says_one_last, writes=True, registered=True, before=b"w" * 16, keep=5000),
    Case("mint", (VERSION, 60_000), says_one_last, writes=False, registered=True, before=b"w" * 16),
    # The cache does not expect these two: their push makes it forget the entry, and they leave no registration behind.
    Case("incr", (STARTED, 60_000, HEAD, b""), says_one_first, writes=True, registered=False),
    Case("incr", (STARTED, 60_000, HEAD, b""), says_one_first, writes=True, registered=False, before=STARTED),
    Case("touch", (HEAD, 60_000), is_one, writes=True, registered=False, before=STARTED),
    Case("touch", (HEAD, 60_000), is_one, writes=False, registered=True),
]


def tracking(server: Server) -> Client:
    client = server.client()
    client("CLIENT", "TRACKING", "ON")
    return client


def is_push(frame: Any) -> bool:
    return list(frame) == [b"invalidate", [KEY]] if isinstance(frame, list) else False


@pytest.mark.parametrize("read_before", [False, True], ids=["unread", "read"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_own_push_as_the_next_frame_when_the_reply_says_it_wrote(
    server: Server, case: Case, read_before: bool
) -> None:
    with tracking(server) as ours, tracking(server) as other, server.client() as foreign:
        if case.before is not None:
            foreign("SET", KEY, case.before, "PX", case.keep)
        other("GET", KEY)
        if read_before:
            ours("GET", KEY)
        ours.send(SCRIPTS[case.script].call(KEY, *case.args, whole=True), ("PING",))
        reply, *pushes, pong = _until_pong(ours)
        assert case.wrote(reply) is case.writes, reply
        assert len(pushes) == case.writes, "exactly one own push, before anything else, if it wrote"
        assert all(is_push(push) for push in pushes)
        assert pong == b"PONG"
        assert len(_pushes(other)) == case.writes, "who had read the key hears of a write, and of nothing else"
        foreign("SET", KEY, "foreign")
        assert len(_pushes(ours)) == case.registered


def _until_pong(client: Client) -> list[Any]:
    frames = [client.frame()]
    while frames[-1] != b"PONG":
        frames.append(client.frame())
    return frames


def _pushes(client: Client) -> list[Any]:
    """Return the server's pushes to this client up to now: pushes precede the reply to a later command."""
    client("PING")
    found = [push for push in client.pushes if is_push(push)]
    client.pushes.clear()
    return found


def test_an_entry_that_expired_unseen_earns_a_second_push_which_is_taken_for_foreign(server: Server) -> None:
    """The cache forgets more than needed, never less: the old entry's end is pushed, too, before that of our write."""
    with tracking(server) as ours, server.client() as foreign:
        foreign("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        assert ours.pipeline(("SET", KEY, STARTED, "PX", 100), ("GET", KEY)) == [b"OK", STARTED]
        foreign("DEBUG", "SLEEP", 0.11)  # a command that asks for the key would expire it
        ours.send(SCRIPTS["put"].call(KEY, STARTED, 60_000, whole=True), ("PING",))
        reply, *pushes, _ = _until_pong(ours)
        assert reply == 1
        assert len(pushes) == 2
        foreign("SET", KEY, "foreign")
        assert len(_pushes(ours)) == 1
        foreign("DEBUG", "SET-ACTIVE-EXPIRE", 1)


async def _near_after_own_stores(server: Server, prefix: str) -> dict[str, Any]:
    """Return near's values of four keys that this instance stored, after all frames about them have come."""

    async def load() -> str:
        await eventually(lambda: cache.stats().self_invalidations + cache.stats().invalidations >= 1)
        return "loaded"

    async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:
        await cache.get_or_set("loaded", load)
        await cache.get_or_set("tagged", load, tags=("a tag", "another"))
        await cache.set("set", "set")
        await cache.add("added", "added")
        await cache.get("absent")  # replies come in order: all frames of the earlier calls have arrived
        return {key: cache.peek(key) for key in ("loaded", "tagged", "set", "added")}


def test_near_still_holds_what_this_instance_stored_itself(server: Server, prefix: str) -> None:
    found = run(_near_after_own_stores(server, prefix))
    assert found == {"loaded": "loaded", "tagged": "loaded", "set": "set", "added": "added"}


def test_twin_without_expecting_the_own_push_near_is_empty(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CommandSender, "expect_own", lambda _self, _raw: None)
    assert set(run(_near_after_own_stores(server, prefix)).values()) == {None}


async def _near_after_a_renewed_load(server: Server, prefix: str) -> Any:
    async with Cache(server.url, prefix=prefix, operation_timeout="2s") as cache:

        async def load() -> str:
            await eventually(lambda: cache.stats().self_invalidations >= 3)  # one of the grant and two of renewals
            return "loaded"

        await cache.get_or_set("slow", load)
        await cache.get("absent")
        return cache.peek("slow")


def test_renewing_a_lease_does_not_make_its_holder_forget(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadTimes, "FIRST", 1.5)  # seconds; renewed each third
    assert run(_near_after_a_renewed_load(server, prefix)) == "loaded"
