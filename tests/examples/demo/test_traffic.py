"""The demo's count of failed requests and of clear refusals."""

from typing import Any

import pytest

from examples.demo.traffic import Answer, Tally, Traffic, failures
from fleetcache.testing.server import HOST, free_port
from tests.support.run import run

BUSY = {"error": "origin_busy", "detail": "", "retry_after": 7}


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    return Answer("a", "/locate/8.8.8.8", status, body, headers, 0.0, 0.001)


def test_nobody_there_is_a_failed_request_with_its_reason() -> None:
    async def main() -> tuple[Tally, list[Answer]]:
        async with Traffic({"a": f"http://{HOST}:{free_port()}"}) as traffic:
            return traffic.tally, await traffic.send(["8.8.8.8", "9.9.9.9"])

    tally, answers = run(main())
    assert (tally.requests, tally.failed, tally.refused, tally.pairs) == (2, 2, 0, set())
    assert "2 requests, 2 failed (first: 0 " in failures(answers)
    assert "refused" in failures(answers).lower()


@pytest.mark.parametrize(
    "refusal",
    [
        answer(503, BUSY),
        answer(503, BUSY, **{"retry-after": "soon"}),
        answer(503, BUSY, **{"retry-after": "0"}),
        answer(503, BUSY, **{"retry-after": "3600"}),
        answer(503, {"error": "origin_down"}, **{"retry-after": "7"}),
        answer(503, "Service Unavailable", **{"retry-after": "7"}),
        answer(500, BUSY, **{"retry-after": "7"}),
        answer(0, "TimeoutError()"),
    ],
    ids=lambda refusal: f"{refusal.status} {refusal.body} {dict(refusal.headers)}",
)
def test_a_refusal_that_does_not_say_why_and_for_how_long_is_a_failure(refusal: Answer) -> None:
    tally = Tally()
    tally.note(refusal)
    assert (tally.failed, tally.refused) == (1, 0)


def test_a_clear_refusal_is_no_failure_and_an_answer_neither() -> None:
    tally = Tally()
    tally.note(answer(503, BUSY, **{"retry-after": "7"}))
    for _ in range(2):
        tally.note(answer(200, {}))
    assert (tally.requests, tally.refused, tally.failed) == (3, 1, 0)
    assert tally.pairs == {("a", "/locate/8.8.8.8")}  # one pair: a cache of its own would have asked once
