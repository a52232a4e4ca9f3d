"""The example app under gunicorn, as deployed: made before its workers are forked."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.gunicorn import asked, get, gunicorn
from tests.support.servers import Server
from tests.support.waiting import wait_until

WORKERS = {"sync": [], "threads": ["--worker-class", "gthread", "--threads", "4"]}


@pytest.mark.parametrize("kind", WORKERS)
def test_workers_forked_from_a_ready_app_share_prices_and_carts(
    server: Server, prefix: str, tmp_path: Path, kind: str
) -> None:
    environ = {"REDIS_URL": server.url, "CACHE_PREFIX": prefix, "CACHE_OPERATION_TIMEOUT": "2s"}
    with gunicorn("examples.flask.app:create_app()", ["--preload", *WORKERS[kind]], environ, tmp_path) as where:
        answers: list[Any] = []

        def both_have_answered() -> bool:
            try:
                answers.append(get(where, "/price/pear"))
            except ConnectionRefusedError:  # no worker listens yet
                return False
            return len({answer["worker"] for answer in answers}) == 2

        wait_until(both_have_answered, 20)
        assert {(answer["price"], answer["loads"]) for answer in answers} == {(3, 1)}
        cart, headers = asked(where, "/cart/pear", "POST")
        cookie = headers["Set-Cookie"].partition(";")[0]
        for number in range(2, 8):  # by any worker
            cart, _ = asked(where, "/cart/pear", "POST", cookie)
            assert cart == ["pear"] * number
        assert get(where, "/healthz")["status"] == "healthy"
