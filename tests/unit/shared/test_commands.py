"""Commands: scripts by their hash and once as text, refusals kept until the server accepts again."""

import pytest
from hiredis import ReplyError

from fleetcache import Cache
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
