"""Requests to the instances, round robin as a load balancer sends them, at a rate that does not wait for answers.

A client that waits for each answer before its next request hides every pause of the server; this one sends on.
"""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

from .http_client import HttpClient, Response

__all__ = ["RATE", "Answer", "Tally", "Traffic", "digits", "failures", "milliseconds", "percentile"]

RATE = 250.0  # a second: a third of the most for two cores beside the screen, so that times show the cache and no queue
_UNDER_WAY = 200  # at most: more requests to a server that does not answer would only measure the client
_LONGEST_WAIT = 60  # seconds: the origin's minute, the most that a Retry-After may ask for
_FEW = 0.01  # seconds: below, a digit after the point is meaningful
_RECENT = 1_000  # requests whose times make the percentiles on the screen: about four seconds


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    Attributes:
        instance: The instance that was asked.
        path: The path of the request.
        status: HTTP status; 0 without an answer.
        body: JSON; the error without an answer.
        headers: The headers, with names in lower case.
        began: The time of the request, by the monotonic clock.
        seconds: The time until the answer, the client's and the server's.
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
        """True if it is the answer that the client hoped for."""
        return self.status == HTTPStatus.OK

    @property
    def refused(self) -> bool:
        """True if it says clearly that the origin has no calls left, and when to come back."""
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
        """The time of the answer, by the monotonic clock."""
        return self.began + self.seconds


def failures(answers: Sequence[Answer]) -> str:
    """Return the number of failed requests, and the first reason, as text."""
    failed = [answer for answer in answers if not answer.ok]
    first = f" (first: {failed[0].status} {failed[0].body} from {failed[0].instance})" if failed else ""
    return f"{len(answers):,} requests, {len(failed)} failed{first}"


def milliseconds(seconds: float | None) -> str:
    """Return a measured time as text for people."""
    return "never" if seconds is None else f"{digits(seconds)} ms"


def digits(seconds: float) -> str:
    """Return milliseconds without their unit, with two figures at least."""
    return f"{seconds * 1000:.1f}" if seconds < _FEW else f"{seconds * 1000:,.0f}"


def percentile(seconds: Iterable[float], percent: float) -> float:
    """Return the value that ``percent`` of the values do not exceed.

    Args:
        seconds: At least one value.
        percent: Over 0, up to 100.
    """
    ordered = sorted(seconds)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


@dataclass
class Tally:
    """Requests for addresses so far, counted while they run, so that a screen can look at any time.

    Attributes:
        requests: All requests that ended.
        refused: Clear errors: the origin had no calls left, and no cache had the answer.
        failed: All other errors.
        pairs: Instance and path of each answer. An instance with its own cache would have called the origin for
            each of them.
        recent: Seconds that the newest requests took.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    pairs: set[tuple[str, str]] = field(default_factory=set)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def note(self, answer: Answer) -> None:
        """Count one answer."""
        self.requests += 1
        self.recent.append(answer.seconds)
        if answer.ok:
            self.pairs.add((answer.instance, answer.path))
        elif answer.refused:
            self.refused += 1
        else:
            self.failed += 1


class Traffic:
    """Sends requests, and keeps count.

    Args:
        instances: URL by name.
        rate: Requests for addresses in a second.

    Attributes:
        instances: As given.
        rate: As given.
        tally: The count of answers for addresses.
    """

    def __init__(self, instances: dict[str, str], rate: float = RATE) -> None:
        self.instances = instances
        self.rate = rate
        self.tally = Tally()
        self._turn = itertools.cycle(instances)
        self._http = HttpClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def request(self, instance: str, path: str, *, method: str = "GET", json: Any = None) -> Answer:
        """Send one request to one instance."""
        began = time.monotonic()
        try:
            response = await self._http.request(method, self.instances[instance], path, json)
        except (OSError, EOFError) as error:
            response = Response(0, {}, repr(error))
        return Answer(instance, path, response.status, response.body, response.headers, began, time.monotonic() - began)

    async def from_all(self, path: str) -> dict[str, Answer]:
        """Send every instance the same request at the same time."""
        answers = await asyncio.gather(*(self.request(name, path) for name in self.instances))
        return {answer.instance: answer for answer in answers}

    async def locate(self, address: str, instance: str | None = None) -> Answer:
        """Ask one instance, or the next in turn, where an address is."""
        answer = await self.request(instance or next(self._turn), f"/locate/{address}")
        self.tally.note(answer)
        return answer

    async def send(self, addresses: Iterable[str]) -> list[Answer]:
        """Ask for addresses in their order, round robin, and return the answers."""
        answers: list[Answer] = []
        await self._send(addresses, answers)
        return answers

    @asynccontextmanager
    async def load(self, addresses: Sequence[str]) -> AsyncIterator[list[Answer]]:
        """Ask for these addresses again and again during the block; the list has all answers after it."""
        answers: list[Answer] = []
        going = True
        sending = asyncio.create_task(
            self._send(itertools.takewhile(lambda _: going, itertools.cycle(addresses)), answers)
        )
        try:
            yield answers
        finally:
            going = False
            await sending

    async def _send(self, addresses: Iterable[str], answers: list[Answer]) -> None:
        places = asyncio.Semaphore(_UNDER_WAY)

        async def ask(address: str) -> None:
            try:
                answers.append(await self.locate(address))
            finally:
                places.release()

        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                await places.acquire()
                group.create_task(ask(address))
                # A client that is late catches up one second at most.
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                await asyncio.sleep(due - time.monotonic())
