"""The engine: settings decide its parts, faces are told when they are built again, and doubts are reported once."""

import logging
from typing import Any

import pytest

from fleetcache import Cache
from fleetcache.config.settings import Settings
from fleetcache.engine.aio.engine import AioEngine
from fleetcache.engine.engine import FRAME_TIMES, Engine


def engine(url: str, **settings: Any) -> Engine:
    return AioEngine(Settings.from_url(url, **settings))


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
