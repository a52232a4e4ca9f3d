"""The parts of the simulation by themselves: loops, network, and a model that is neither weaker nor stronger."""

import asyncio
from typing import Any

import pytest

from tests.simulation.loop import SimLoop, World
from tests.simulation.model import Model, Removal, Violation
from tests.simulation.network import Network


def loop_of(world: World, name: str = "A", connect: Any = None) -> SimLoop:
    loop = SimLoop(world, name, connect)  # type: ignore[abstract] # only the part that the cache uses
    world.loops.append(loop)
    return loop


# -- loops -------------------------------------------------------------------------------------------------------------


def test_a_loop_runs_its_callbacks_in_order_and_time_jumps_to_the_next() -> None:
    world, seen = World(1), list[Any]()
    loop = loop_of(world)
    start = loop.time()
    loop.call_later(5.0, lambda: seen.append(("later", loop.time() - start)))
    for number in range(5):
        loop.call_soon(seen.append, number)
    world.run(world.now + 10)
    assert seen == [0, 1, 2, 3, 4, ("later", 5.0)]


def test_between_loops_the_seed_decides() -> None:
    def order(seed: int) -> str:
        world, seen = World(seed), list[str]()
        for name in "ABC":
            loop_of(world, name).call_soon(seen.append, name)
        world.run(world.now + 1)
        return "".join(seen)

    assert order(1) == order(1)
    assert len({order(seed) for seed in range(30)}) == 6


def test_a_stall_in_the_middle_of_a_turn_delays_the_rest_of_it() -> None:
    world, seen = World(1), list[float]()
    loop = loop_of(world)
    start = world.now
    loop.call_soon(loop.stall, 3.0)
    loop.call_soon(lambda: seen.append(world.now - start))
    loop.call_later(1.0, lambda: seen.append(world.now - start))
    world.run(world.now + 10)
    assert seen == [3.0, pytest.approx(3.0, abs=0.01)]


def test_a_host_that_slept_has_a_clock_that_lags() -> None:
    world, seen = World(1), list[float]()
    loop = loop_of(world)
    start = world.now
    loop.call_later(1.0, lambda: seen.append(world.now - start))
    loop.stall(2.0)
    loop.lag += 2.0
    world.run(world.now + 10)
    assert seen == [3.0]


# -- the network -------------------------------------------------------------------------------------------------------


class Host:
    """A host that records the bytes it gets."""

    listening = True

    def __init__(self) -> None:
        self.got, self.gone = b"", 0

    def accept(self, _connection: Any) -> Any:
        return None

    def received(self, _connection: Any, data: bytes) -> None:
        self.got += data

    def left(self, _connection: Any) -> None:
        self.gone += 1


class Protocol(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.lost: list[Exception | None] = []
        self.buffer = bytearray(10)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        return self.buffer

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class Scene:
    """One connected process."""

    def __init__(self, seed: int = 1, cut_chance: float = 1.0) -> None:
        self.world, self.host = World(seed), Host()
        self.network = Network(self.world, seed, self.host, latency=0.001, cut_chance=cut_chance)
        self.loop = loop_of(self.world, "A", self.network.connect)
        made = self.loop.create_task(self.loop.create_unix_connection(Protocol))
        self.world.run(self.world.now + 1)
        self.transport, self.protocol = made.result()

    def go_on(self, seconds: float = 1.0) -> None:
        self.world.run(self.world.now + seconds)


def test_bytes_arrive_in_order_however_they_are_cut() -> None:
    scene = Scene()
    for number in range(100):
        scene.transport.write(b"%03d" % number)
    scene.go_on()
    assert scene.host.got == b"".join(b"%03d" % number for number in range(100))


def test_a_black_hole_keeps_bytes_until_it_heals() -> None:
    scene = Scene()
    scene.network.hold("A", up=True, down=True)
    scene.transport.write(b"hello")
    scene.go_on(10)
    assert scene.host.got == b""
    scene.network.heal("A")
    scene.go_on()
    assert scene.host.got == b"hello"


def test_a_black_hole_changes_the_order_of_no_bytes() -> None:
    for seed in range(50):
        scene = Scene(seed)
        for number in range(60):  # some bytes are under way when it begins, some when it ends
            scene.transport.write(b"%03d" % number)
            scene.go_on(0.0002)
            if number % 20 == 5:
                scene.network.hold("A", up=True, down=False)
            elif number % 20 == 10:
                scene.network.heal("A")
        scene.go_on()
        assert scene.host.got == b"".join(b"%03d" % number for number in range(60))


@pytest.mark.parametrize("linger", [True, False])
def test_an_abort_in_a_black_hole_drops_what_is_kept_only_with_a_reset(*, linger: bool) -> None:
    scene = Scene()
    scene.network.hold("A", up=True, down=True)
    scene.transport.write(b"hello")
    if linger:
        scene.transport.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
    scene.transport.abort()
    scene.go_on(10)
    scene.network.heal("A")
    scene.go_on(10)
    assert scene.host.got == (b"" if linger else b"hello")
    assert scene.protocol.lost == [None]


def test_a_cut_delivers_a_beginning_and_tells_both_sides() -> None:
    lengths = set()
    for seed in range(30):
        scene = Scene(seed, cut_chance=0.0)
        scene.transport.write(b"0123456789")
        scene.go_on(0)
        scene.network.connections[0].cut()
        scene.go_on()
        assert b"0123456789".startswith(scene.host.got)
        lengths.add(len(scene.host.got))
        assert isinstance(scene.protocol.lost[0], ConnectionResetError)
        assert scene.host.gone == 1
    assert len(lengths) > 5


# -- the model ---------------------------------------------------------------------------------------------------------


class Somebody:
    """An instance, as far as the model uses it."""

    def __init__(self, name: str) -> None:
        self.name, self.dead, self.heard, self.met_at = name, False, True, 0.0

    def says_heard(self) -> bool:
        return self.heard


class Truth:
    """A model, a clock, two instances, and one value of the only key."""

    def __init__(self) -> None:
        self.now = 100.0
        self.model = Model(lambda: self.now, {"k": []}, max_staleness=2.0, offline_ttl=5.0, load_wait=15.0)
        self.a, self.b = Somebody("A"), Somebody("B")
        self.value = self.model.value("k", 1, "loaded")

    def remove(self, by: Somebody, *, acked: bool = True) -> Removal:
        removal = self.model.change("delete", by, ["k"], [("e", "k")])
        self.model.returned(removal, acked=acked)
        return removal

    def answers(self, by: Somebody, *, near: bool, began: tuple[int, float] | None = None, **more: bool) -> bool:
        began = began or (self.model.order(), self.now)
        last_resort = more.get("last_resort", False)
        try:
            self.model.judge(
                self.value.number,
                "k",
                by,
                began,
                near=near,
                last_resort=last_resort,
                offline=more.get("offline", False),
            )
        except Violation:
            return False
        return True


def test_what_was_never_superseded_may_be_answered() -> None:
    truth = Truth()
    assert truth.answers(truth.a, near=False)


def test_shared_forgets_at_once_and_near_within_its_bound() -> None:
    truth = Truth()
    truth.remove(truth.a)
    assert not truth.answers(truth.b, near=False)
    assert truth.answers(truth.b, near=True)
    truth.now += 2.1
    assert not truth.answers(truth.b, near=True)
    assert truth.answers(truth.b, near=True, offline=True), "it said so when the call began, and looked into near then"
    truth.b.heard = False
    assert truth.answers(truth.b, near=True), "it says that it is offline"
    truth.now += 3.0
    assert not truth.answers(truth.b, near=True)
    assert truth.answers(truth.b, near=True, last_resort=True)


def test_who_removed_sees_it_gone_at_once_acknowledged_or_not() -> None:
    truth = Truth()
    truth.remove(truth.a, acked=False)
    assert not truth.answers(truth.a, near=True)
    assert not truth.answers(truth.a, near=True, last_resort=True)
    assert truth.answers(truth.b, near=False), "the server was not told"


def test_a_call_that_began_before_may_be_answered() -> None:
    truth = Truth()
    began = (truth.model.order(), truth.now)
    truth.remove(truth.a)
    assert truth.answers(truth.b, near=False, began=began)
    assert truth.answers(truth.a, near=False, began=began)


def test_of_two_writers_that_overlap_either_may_win() -> None:
    truth = Truth()
    write = truth.model.change("set", truth.a, ["k"], [("e", "k")])
    truth.value = truth.model.value("k", 2, "set")
    truth.value.writer = write
    truth.remove(truth.b)
    assert truth.answers(truth.b, near=False), "the set is under way still"
    truth.now += 1
    truth.model.returned(write, acked=True)
    truth.now += 1
    assert truth.answers(truth.b, near=False)
    truth.remove(truth.b)
    assert not truth.answers(truth.b, near=False), "the set was over when this one began"


def test_a_second_load_needs_a_reason() -> None:
    truth = Truth()
    model = truth.model
    model.load_began("k", truth.a, truth.now, lambda *_: True)
    truth.now += 1
    with pytest.raises(Violation, match="one load"):
        model.load_began("k", truth.b, truth.now, lambda *_: True)
    model.load_began("k", truth.b, truth.now, lambda *_: False)  # something was wrong
    model.load_began("k", truth.b, truth.now - 15, lambda *_: True)  # it has waited for the whole load_wait
    truth.remove(truth.b)
    model.load_began("k", truth.b, truth.now, lambda *_: True)


def calm(*_: Any) -> bool:
    return True


def test_loads_may_overlap_after_two_failures_for_calls_that_waited() -> None:
    truth = Truth()
    model, asked = truth.model, truth.now
    for _ in range(2):
        load = model.load_began("k", truth.a, truth.now, calm)
        truth.now += 1
        model.load_failed(load)
        load.ended = truth.now
    model.load_began("k", truth.a, asked, calm)
    model.load_began("k", truth.b, asked, calm)
    with pytest.raises(Violation, match="one load"):
        model.load_began("k", truth.b, asked, calm)  # a second one of this process


def test_one_failure_is_no_reason_for_a_second_load() -> None:
    truth = Truth()
    model, asked = truth.model, truth.now
    load = model.load_began("k", truth.a, truth.now, calm)
    truth.now += 1
    model.load_failed(load)
    load.ended = truth.now
    model.load_began("k", truth.a, asked, calm)
    with pytest.raises(Violation, match="one load"):
        model.load_began("k", truth.b, asked, calm)


def test_a_right_whose_holder_is_cut_off_counts_as_a_load_until_it_is_back() -> None:
    truth = Truth()
    model, asked = truth.model, truth.now
    model.load_began("k", truth.a, asked, calm)
    truth.now += 15
    second = model.load_began("k", truth.b, asked, calm)
    truth.now += 6
    second.ended = truth.now
    model.cut_off(truth.b)
    truth.now += 9.9
    for name in "CD":  # each loads for itself
        model.load_began("k", Somebody(name), asked, calm)
    model.is_back(truth.b)
    truth.now += 2
    for load in model.loads["k"][-2:]:
        load.ended = truth.now
    model.load_began("k", Somebody("C"), asked, calm)
    with pytest.raises(Violation, match="one load"):
        model.load_began("k", Somebody("D"), asked, calm)


def test_a_stored_error_allows_no_load() -> None:
    truth = Truth()
    model = truth.model
    load = model.load_began("k", truth.a, truth.now, calm, declares=True)
    model.load_declared(load, 10.0, sure=True)
    load.ended = truth.now
    truth.now += 1
    model.load_began("k", truth.b, truth.now, calm).ended = truth.now  # it has not declared the class
    with pytest.raises(Violation, match="error is stored"):
        model.load_began("k", truth.b, truth.now, calm, declares=True)
    truth.now += 10
    model.load_began("k", truth.b, truth.now, calm, declares=True)


def test_a_value_of_nobody_is_seen() -> None:
    truth = Truth()
    for number in (99, None, "x"):
        with pytest.raises(Violation, match="nobody stored"):
            truth.model.judge(number, "k", truth.a, (1, 1.0), near=True, last_resort=False)
