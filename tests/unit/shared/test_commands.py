"""Commands: scripts by their hash and once as text, one wait for all steps, refusals kept until one is accepted."""

from collections.abc import Callable
from typing import Any

import pytest
from hiredis import ReplyError

from fleetcache import Cache
from fleetcache.policy.ports import NO_ANSWER
from fleetcache.wire.session import ANSWERED_LATER, Session
from tests.support.drivers import Driver, commands_of
from tests.support.run import run


def test_a_server_that_has_forgotten_a_script_is_sent_its_text_once(remote: Driver) -> None:
    async def main() -> None:
        assert remote.server is not None
        async with remote.cache() as cache:
            await cache.set("warm", 1)
            with remote.server.client() as raw:
                raw("SCRIPT", "FLUSH")
                before = commands_of(raw)
                assert await cache.add("k", 1)
                after = commands_of(raw)
                called = {name: after.get(name, 0) - before.get(name, 0) for name in ("evalsha", "eval")}
            assert called == {"evalsha": 1, "eval": 1}
            assert cache.status_now().reason is None

    run(main())


@pytest.mark.parametrize(
    ("refused", "said", "accepted", "over"),
    [
        ("store", "OOM command not allowed", "store", True),
        ("store", "OOM command not allowed", "remove", False),
        ("store", "MISCONF Errors writing", "remove", True),
        ("store", "MISCONF Errors writing", "read", False),
        ("store", "LOADING Redis is loading", "read", True),
        ("read", "NOPERM no", "store", False),
    ],
)
def test_a_refusal_is_over_when_the_server_accepts_what_would_have_met_it(
    refused: str, said: str, accepted: str, over: bool
) -> None:
    shared = Cache("memory://")._engine.shared
    reason = shared.record_refusal(refused, ReplyError(said))
    assert shared.refusals[refused][0] == reason
    shared.record_success(accepted)
    assert (refused not in shared.refusals) is over
    assert shared._counters.errors[reason] == 1


def test_a_refusal_keeps_its_first_moment_and_shows_no_argument() -> None:
    shared = Cache("memory://")._engine.shared
    shared.record_refusal("store", ReplyError("ERR unknown command 'X', with args beginning with: 'secret'"))
    first = shared.refusals["store"]
    shared.record_refusal("store", ReplyError("OOM command not allowed"))
    assert shared.refusals["store"] is first
    assert "secret" not in first[2]


class _Wire:
    """A wire whose calls the test answers."""

    operation_timeout = 0.25
    connected = True

    def __init__(self, now: Callable[[], float]) -> None:
        self.session = Session(lambda _keys: None, 1_000_000)
        self.sent: list[Any] = []
        self._now = now

    def submit(self, call: Any, **_how: bool) -> None:
        call.sent_at = self._now()
        self.sent.append(call)


def _torn(call: Any) -> list[Any]:
    call.between = (None,)
    return [b"V" * 40, 5]


FIRST_STEPS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], list[Any]]]] = {
    "a forgotten script": (lambda shared: shared.touch("k", b"V", 1), lambda _: [ReplyError("NOSCRIPT no script")]),
    "a torn read": (lambda shared: shared.look("k", str, None), _torn),
    "the size of a large key": (lambda shared: shared.look("large", str, None), lambda _: [b"", b"", -2]),
}


@pytest.mark.parametrize("step", FIRST_STEPS)
def test_a_caller_waits_for_all_steps_of_a_call_for_one_operation_timeout(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        engine = Cache("redis://127.0.0.1:1")._engine
        shared, now = engine.shared, 100.0
        wire = shared.wire = _Wire(lambda: now)  # type: ignore[assignment]  # the part that is used
        shared.usable = True
        shared.large.keys[engine.layout.entry("large")] = None
        alarms: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(engine.ports, "call_later", lambda *alarm: alarms.append(alarm))
        monkeypatch.setattr(shared, "_clock", lambda: now)
        send, answer = FIRST_STEPS[step]
        future = send(shared)
        (first,) = wire.sent
        now += 0.2
        assert first.handle(answer(first)) is ANSWERED_LATER
        assert len(wire.sent) == 2
        ((left, ring),) = alarms
        assert left == pytest.approx(0.05)
        ring()
        assert future.result() is NO_ANSWER

    run(main())
