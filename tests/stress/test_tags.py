"""Tags: captured before the loader runs, with versions that never come back, though the tag keys get lost."""

from functools import partial
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.format.keys import Layout
from fleetcache.near.coherence import Coherence
from fleetcache.near.tag_versions import TagState
from fleetcache.policy.loading import Loading
from fleetcache.shared.entries import Entries
from tests.stress.fleet import PATIENCE, Tally, World, fleet, stress
from tests.support.client import Client
from tests.support.run import run
from tests.support.servers import Server

KEYS = tuple(f"e{n}" for n in range(6))
TAGS = ("t0", "t1", "t2")
TAG_OF = {key: TAGS[n % len(TAGS)] for n, key in enumerate(KEYS)}
SECONDS = 2.5
INSTANCES = 5


async def read(world: World, cache: Cache, key: str) -> int:
    """Read a key; every entry has one of the tags."""
    value: int = await cache.get_or_set(key, partial(world.load, key), tags=(TAG_OF[key],), type=int)
    return value


async def invalidate(world: World, client: Client, layout: Layout, cache: Cache, _tally: Tally) -> None:
    """Invalidate one tag, after a change of all its keys; now and then a tag's key is lost, as by eviction."""
    tag = world.random.choice(TAGS)
    for key in KEYS:
        world.versions[key] += TAG_OF[key] == tag
    await cache.invalidate_tags(tag)
    if world.random.random() < 0.5:
        client("DEL", layout.tag(world.random.choice(TAGS)))


async def _invalidations(server: Server, prefix: str, **how: Any) -> Tally:
    world = World(KEYS)
    with server.client() as client:
        async with fleet(server, prefix, INSTANCES) as caches:
            write = partial(invalidate, world, client, Layout(prefix))
            return await stress(caches, world, partial(read, world), write, **how)


def test_nothing_invalidated_is_served_again(server: Server, prefix: str) -> None:
    tally = run(_invalidations(server, prefix, seconds=SECONDS))
    assert tally.checks > 40
    assert tally.wrong == 0


def _wrong_at_last(server: Server, prefix: str) -> int:
    return run(_invalidations(server, prefix, seconds=PATIENCE, until_wrong=True)).wrong


def test_twin_versions_that_come_back_revive_what_was_invalidated(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions are a counter that begins at 1 again, instead of new ones."""
    made = Entries.stamp
    monkeypatch.setattr(Entries, "stamp", lambda self, mark=b"V": made(self, mark) if mark else (1).to_bytes(16, "big"))
    assert _wrong_at_last(server, prefix) > 0


def test_twin_tags_captured_after_the_loader_hide_what_happened_meanwhile(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Loading.send

    def capture_now(self: Loading, run: Any, right: Any, value: Any, captured: Any, times: Any) -> Any:
        now = self._ctx.coherence.captured(run.options.tags)
        return send(self, run, right, value, now or captured, times)

    monkeypatch.setattr(Loading, "send", capture_now)
    assert _wrong_at_last(server, prefix) > 0


def test_twin_a_lost_tag_taken_for_valid_keeps_everything_alive(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Coherence.judge

    def optimist(self: Coherence, section: bytes) -> tuple[TagState, tuple[str, ...]]:
        currency, names = judge(self, section)
        return (TagState.CURRENT if currency is TagState.UNKNOWN else currency), names

    monkeypatch.setattr(Coherence, "judge", optimist)
    assert _wrong_at_last(server, prefix) > 0
