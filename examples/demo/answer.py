"""One answer of an instance, and what kind it is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

__all__ = ["Answer", "digits", "failures", "milliseconds", "percentile"]

_LONGEST_WAIT = 60  # seconds: the origin's minute, the most that a Retry-After may ask for

_FEW = 0.01  # seconds: below, a digit after the point tells something


@dataclass(frozen=True)
class Answer:
    """What came back for one request.

    Attributes:
        instance: Who was asked.
        path: What for.
        status: HTTP status; 0 when there was no answer.
        body: JSON; what went wrong when there was no answer.
        headers: As sent, names in lower case.
        began: When it was sent, by the monotonic clock.
        seconds: How long it took, ours and theirs.
    """

    instance: str
    path: str
    status: int
    body: Any
    headers: Mapping[str, str]
    began: float
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it is the answer that the client hoped for."""
        return self.status == HTTPStatus.OK

    @property
    def refused(self) -> bool:
        """Whether it says clearly that the origin has no calls left, and when to come back."""
        wait = self.headers.get("retry-after", "")
        return (
            self.status == HTTPStatus.SERVICE_UNAVAILABLE
            and isinstance(self.body, dict)
            and self.body.get("error") == "origin_busy"
            and wait.isdecimal()
            and 1 <= int(wait) <= _LONGEST_WAIT
        )

    @property
    def ended(self) -> float:
        """When it was there, by the monotonic clock."""
        return self.began + self.seconds


def failures(answers: Sequence[Answer]) -> str:
    """Write how many requests failed, and the first reason."""
    failed = [answer for answer in answers if not answer.ok]
    first = f" (first: {failed[0].status} {failed[0].body} from {failed[0].instance})" if failed else ""
    return f"{len(answers):,} requests, {len(failed)} failed{first}"


def milliseconds(seconds: float | None) -> str:
    """Write a measured time for people."""
    return "never" if seconds is None else f"{digits(seconds)} ms"


def digits(seconds: float) -> str:
    """Write milliseconds without their unit, with two figures at least."""
    return f"{seconds * 1000:.1f}" if seconds < _FEW else f"{seconds * 1000:,.0f}"


def percentile(seconds: Iterable[float], percent: float) -> float:
    """Return the value that ``percent`` of the values do not exceed.

    Args:
        seconds: At least one value.
        percent: Over 0, up to 100.
    """
    ordered = sorted(seconds)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
