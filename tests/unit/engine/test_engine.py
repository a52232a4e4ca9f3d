"""The engine: settings decide its parts, faces are told when they are built anew, and doubts are told once."""

import asyncio
import logging
from typing import Any

import pytest

from fleetcache import Cache, Closed
from fleetcache.config.settings import Settings
from fleetcache.engine.engine import FRAME_TIMES, Engine
from tests.support.run import run


def engine(url: str, **settings: Any) -> Engine:
    return Engine(Settings.from_url(url, **settings))


def test_without_a_server_nothing_bounds_near_but_the_entries() -> None:
    made = engine("memory://")
    assert made.address is None
    assert made.link.bound(0.0) == float("inf")
    assert made.stats().link == "none"
    assert made.tried


def test_null_has_no_room_in_near() -> None:
    assert engine("null://").near.max_bytes == 0
    assert engine("memory://", near_max_bytes=12345).near.max_bytes == 12345


def test_a_reply_may_be_so_many_times_the_largest_value() -> None:
    made = engine("redis://localhost:1", prefix="shop", max_value_bytes=1000)
    assert made.shared.large.frame == FRAME_TIMES * 1000


def test_the_default_prefix_is_told_once_where_keys_could_be_shared(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fleetcache"):
        for url, settings in (
            ("redis://localhost:1", {}),
            ("redis://localhost:1", {"prefix": "shop"}),
            ("memory://", {}),
        ):
            engine(url, **settings)
    (record,) = caplog.records
    assert "CACHE_PREFIX" in record.message


def test_two_instances_have_two_names() -> None:
    assert engine("memory://").instance != engine("memory://").instance


def test_a_fork_leaves_a_face_with_the_new_parts() -> None:
    cache = Cache("memory://")
    made = cache._engine
    near = made.near
    made.after_fork()
    assert made.near is not near
    assert cache._items is made.near.items


def test_another_loop_takes_over_from_one_that_has_ended() -> None:
    cache = Cache("memory://")

    async def main() -> None:
        await cache.open()
        assert await cache.get_or_set("k", load) == 1
        assert cache._engine.loop is asyncio.get_running_loop()

    run(main())
    run(main())
    assert cache.stats().loads == 1, "near goes along"
    run(cache.close())


async def load() -> int:
    return 1


def test_after_close_a_call_is_refused_and_a_second_close_is_nothing() -> None:
    made = engine("memory://")

    async def main() -> None:
        await made.ensure_ready()
        await made.close()
        await made.close()
        with pytest.raises(Closed):
            await made.ensure_ready()

    run(main())
