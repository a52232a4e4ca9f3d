"""Rights to load: renewed every third of their length while the loader runs, and released at the end."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fleetcache.policy.rights import Rights

LEASE = 9.0  # seconds


class World:
    """The server and the timers, as the rights see them."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        shared = SimpleNamespace(
            renew=lambda key, stamp, ms, *, claim=False: self.sent.append(("renew", key, stamp, ms, claim)),
            release=lambda key, placeholder: self.sent.append(("release", key, placeholder)),
            unclaim=lambda key, mark: self.sent.append(("unclaim", key, mark)),
        )
        ctx: Any = SimpleNamespace(shared=shared, ports=SimpleNamespace(call_later=self.call_later))
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
    return SimpleNamespace(key=key, lease=LEASE, flight=SimpleNamespace(loads=False))


def test_a_lease_is_renewed_every_third_of_its_length_until_the_loader_ends() -> None:
    world, run = World(), load("k")
    stop = world.rights.renew_while_loading(run, b"placeholder", None)
    assert run.flight.loads
    for times in (1, 2):
        assert [delay for delay, _ in world.timers] == [LEASE / 3]
        world.ring()
        assert world.sent == [("renew", "k", b"placeholder", 9000, False)] * times
    stop()
    assert (world.timers, len(world.rights)) == ([], 0)


def test_with_a_claim_the_entry_that_is_replaced_is_kept_alive() -> None:
    world = World()
    stop = world.rights.renew_while_loading(load("k"), b"entry", b"mark")
    kept = ("renew", "k", b"entry", 9000, False)  # no longer than the claim
    assert world.sent == [kept], "it may end before the first third is over"
    world.ring()
    assert world.sent == [kept, ("renew", "k", b"mark", 9000, True), kept]
    stop()


@pytest.mark.parametrize(
    ("base", "mark", "sent"),
    [
        (b"placeholder", None, [("release", "k", b"placeholder")]),
        (b"entry", b"mark", [("unclaim", "k", b"mark")]),
        (None, None, []),
    ],
)
def test_a_right_is_released_as_what_it_is(base: bytes | None, mark: bytes | None, sent: list[Any]) -> None:
    world = World()
    world.rights.release(load("k"), base, mark)
    assert world.sent == sent


def test_closing_releases_the_rights_of_all_loads_that_still_run() -> None:
    world = World()
    world.rights.renew_while_loading(load("a"), b"placeholder", None)
    over = world.rights.renew_while_loading(load("b"), b"placeholder", None)
    over()
    world.rights.release_all()
    assert world.sent == [("release", "a", b"placeholder")]
