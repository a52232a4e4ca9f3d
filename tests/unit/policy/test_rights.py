"""Rights to load: renewed every third of their length while the loader runs, and released at the end."""

from asyncio import CancelledError
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from fleetcache.format.entry import FailedMark
from fleetcache.policy.ports import LoaderEndedError
from fleetcache.policy.rights import Right, Rights

LEASE = 9.0  # seconds
MARK = FailedMark(b"F" + b"f" * 16, failures=2, left_ms=30_000)


class World:
    """The server and the timers, as the rights see them."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        shared = SimpleNamespace(
            renew=lambda key, stamp, ms, *, claim=False, second=False: self.sent.append(
                ("renew", key, stamp, ms, "second" if second else claim)
            ),
            release=lambda key, placeholder: self.sent.append(("release", key, placeholder)),
            unclaim=lambda key, mark, *, second=False: self.sent.append(
                ("unsecond" if second else "unclaim", key, mark)
            ),
            fail=lambda key, right, count, took, *, claim, timed_out: self.sent.append(
                ("fail", key, right, count, took, claim, timed_out)
            ),
        )
        ports = SimpleNamespace(call_later=self.call_later, clock=lambda: 7.0)
        ctx: Any = SimpleNamespace(shared=shared, ports=ports, times=SimpleNamespace(lease=lambda _group: LEASE))
        self.rights = Rights(ctx)

    def call_later(self, delay: float, callback: Callable[[], None]) -> SimpleNamespace:
        """Keep a timer until it is run or cancelled."""
        timer = (delay, callback)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def ring(self) -> None:
        """Run the newest timer."""
        _, callback = self.timers.pop()
        callback()


def load(key: str) -> Any:
    return SimpleNamespace(
        key=key, group="", lease=LEASE, over_limit=False, flight=SimpleNamespace(loads=False, on_mark=False)
    )


def test_a_lease_is_renewed_every_third_of_its_length_until_the_loader_ends() -> None:
    world, run = World(), load("k")
    stop = world.rights.renew_while_loading(run, Right(b"placeholder"))
    assert run.flight.loads
    for times in (1, 2):
        assert [delay for delay, _ in world.timers] == [LEASE / 3]
        world.ring()
        assert world.sent == [("renew", "k", b"placeholder", 9000, False)] * times
    stop()
    assert (world.timers, len(world.rights)) == ([], 0)


def test_with_a_claim_the_entry_that_is_replaced_is_kept_alive() -> None:
    world = World()
    stop = world.rights.renew_while_loading(load("k"), Right(b"entry", b"mark"))
    kept = ("renew", "k", b"entry", 9000, False)  # no longer than the claim
    assert world.sent == [kept], "it may end before the first third is over"
    world.ring()
    assert world.sent == [kept, ("renew", "k", b"mark", 9000, True), kept]
    stop()


@pytest.mark.parametrize(
    ("right", "sent"),
    [
        (Right(b"placeholder"), [("release", "k", b"placeholder")]),
        (Right(b"entry", b"mark"), [("unclaim", "k", b"mark")]),
        (Right.on_mark(MARK), []),
        (Right.on_mark(MARK, b"entry"), []),
        (None, []),
    ],
)
def test_a_right_is_released_as_what_it_is(right: Right | None, sent: list[Any]) -> None:
    world = World()
    world.rights.release(load("k"), right)
    assert world.sent == sent


@pytest.mark.parametrize(
    ("right", "sent"),
    [
        (Right(b"placeholder"), [("fail", "k", b"placeholder", 1, 3.0, False, False)]),
        (Right(b"placeholder", failures=4), [("fail", "k", b"placeholder", 5, 3.0, False, False)]),
        (Right(b"entry", b"claim", failures=1), [("fail", "k", b"claim", 2, 3.0, True, False)]),
        (Right.on_mark(MARK), []),
        (Right.on_mark(MARK, b"entry"), []),
    ],
)
def test_a_failed_load_leaves_a_mark_in_place_of_its_own_right(right: Right, sent: list[Any]) -> None:
    world = World()
    world.rights.end(load("k"), right, ValueError(), 4.0)
    assert world.sent == sent


@pytest.mark.parametrize("error", [CancelledError(), KeyboardInterrupt(), LoaderEndedError(CancelledError())])
def test_a_load_that_was_broken_off_leaves_no_mark(error: BaseException) -> None:
    world = World()
    world.rights.end(load("k"), Right(b"placeholder"), error, 4.0)
    assert world.sent == [("release", "k", b"placeholder")]


def test_a_load_over_its_limit_says_so() -> None:
    world = World()
    world.rights.fail(load("k"), Right(b"placeholder", failures=1), 2.0, timed_out=True)
    assert world.sent == [("fail", "k", b"placeholder", 2, 2.0, False, True)]


def test_a_mark_is_renewed_as_a_lease_is_and_keeps_nobody_from_the_key() -> None:
    world, run = World(), load("k")
    run.lease = 0.0  # nothing was asked for
    stop = world.rights.renew_while_loading(run, Right.on_mark(MARK))
    assert (run.flight.loads, run.flight.on_mark) == (False, True)
    world.ring()
    assert world.sent == [("renew", "k", MARK.stamp, 9000, False)]
    stop()


def test_a_mark_that_ends_sooner_than_a_third_of_a_lease_is_renewed_in_time() -> None:
    world = World()
    stop = world.rights.renew_while_loading(load("k"), Right.on_mark(replace(MARK, left_ms=1240)))
    assert [delay for delay, _ in world.timers] == [0.62]
    world.ring()
    assert [delay for delay, _ in world.timers] == [LEASE / 3], "from now on it lives as long as a lease"
    stop()


def test_closing_releases_the_rights_of_all_loads_that_still_run() -> None:
    world = World()
    world.rights.renew_while_loading(load("a"), Right(b"placeholder"))
    over = world.rights.renew_while_loading(load("b"), Right(b"placeholder"))
    over()
    world.rights.release_all()
    assert world.sent == [("release", "a", b"placeholder")]


def test_the_right_beside_another_load_is_renewed_and_leaves_no_mark() -> None:
    world, run = World(), load("k")
    right = Right(b"placeholder", b"token", second=True)
    stop = world.rights.renew_while_loading(run, right)
    world.ring()
    assert world.sent[1:] == [("renew", "k", b"token", 9000, "second"), ("renew", "k", b"placeholder", 9000, False)]
    stop()
    world.sent.clear()
    world.rights.fail(run, right, 1.0)
    assert world.sent == [("unsecond", "k", b"token")], "the first load still has its right"
