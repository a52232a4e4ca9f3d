"""The shape of each reply: every real one passes, and no other shape does."""

from typing import Any

import pytest

from fleetcache.shared.replies import MisshapenError, judged
from fleetcache.shared.scripts import SCRIPTS
from fleetcache.wire.reasons import reply_reason
from fleetcache.wire.session import ReplyError

GOOD: dict[str, list[Any]] = {
    "GET": [None, b"", b"value"],
    "GETRANGE": [b"", b"V"],
    "PTTL": [-2, -1, 0, 5],
    "SET": [None, b"OK"],
    "DEL": [0, 1, 2],
    "acquire": [0, -3, [b"V", 5], [b"", -1]],
    "add": [0, [b"V", 5]],
    "incr": [[1, b"7"], [1, b"-7"], [0, b"V", 5]],
    "mint": [[b"1" * 16, 0], [b"1" * 16, 1]],
    "put": [1],
    "swap": [0, 1],
    "release": [0, 1],
    "renew": [0, 1],
    "touch": [0, 1],
}
ODD: list[Any] = [
    [], [[]], [None], [0], [1], [2], [b"V"], [b"V", b"5"], [None, None], [b"V", 5, 6], [1, None], [1, b"x"], [0, 1, 2],
    {}, {b"k": b"v"}, True, False, 1.5, "text", b"text", -3, 3, None, set(), (),
]  # fmt: skip


def test_every_script_has_its_shapes() -> None:
    assert set(SCRIPTS) <= set(GOOD)


@pytest.mark.parametrize(("what", "reply"), [(what, reply) for what, replies in GOOD.items() for reply in replies])
def test_what_the_server_may_say_passes(what: str, reply: Any) -> None:
    assert judged(what, reply) is reply


@pytest.mark.parametrize("what", GOOD)
@pytest.mark.parametrize("reply", ODD, ids=repr)
def test_nothing_else_does(what: str, reply: Any) -> None:
    if any(type(reply) is type(good) and reply == good for good in GOOD[what]):
        return
    if (what, repr(reply)) in {("GET", "b'text'"), ("GETRANGE", "b'text'"), ("DEL", "3")}:
        return
    if what == "PTTL" and type(reply) is int:
        return
    error = judged(what, reply)
    assert isinstance(error, MisshapenError)
    assert reply_reason(error) == "protocol"
    assert what in str(error)


def test_an_error_stays_what_it_is() -> None:
    error = ReplyError("OOM no")
    assert all(judged(what, error) is error for what in GOOD)
