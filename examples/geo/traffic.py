"""Requests to the instances, round robin as a load balancer sends them, and what came back."""

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from examples.geo.http_client import HttpClient, Response

_AT_ONCE = 24  # requests under way: enough for several to want the same address at the same time
_WORKERS = 6  # of a load in the background
_PAUSE = 0.01  # seconds between two requests of such a worker: load, not a benchmark


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


class Traffic:
    """Sends requests, and keeps the answers.

    Args:
        instances: URL by name.
    """

    def __init__(self, instances: dict[str, str]) -> None:
        self.instances = instances
        self.answers: list[Answer] = []
        self._turn = itertools.cycle(instances)
        self._http = HttpClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def request(self, instance: str, path: str, *, method: str = "GET", json: Any = None) -> Answer:
        """Send one request to one instance, and keep its answer."""
        began = time.monotonic()
        try:
            response = await self._http.request(method, self.instances[instance], path, json)
        except (OSError, EOFError) as error:
            response = Response(0, {}, repr(error))
        seconds = time.monotonic() - began
        answer = Answer(instance, path, response.status, response.body, response.headers, began, seconds)
        self.answers.append(answer)
        return answer

    async def from_all(self, path: str) -> dict[str, Answer]:
        """Ask every instance the same at the same time."""
        answers = await asyncio.gather(*(self.request(name, path) for name in self.instances))
        return {answer.instance: answer for answer in answers}

    async def locate(self, addresses: Iterable[str], at_once: int = _AT_ONCE) -> list[Answer]:
        """Ask for addresses in their order, round robin, several at once."""
        todo = iter(addresses)
        answers: list[Answer] = []
        await asyncio.gather(*(self._work(todo, answers, 0) for _ in range(at_once)))
        return answers

    @asynccontextmanager
    async def load(self, addresses: Sequence[str]) -> AsyncIterator[list[Answer]]:
        """Ask for these addresses over and over while the block runs; the list has all answers after it."""
        answers: list[Answer] = []
        todo = itertools.cycle(addresses)
        workers = [asyncio.create_task(self._work(todo, answers, _PAUSE)) for _ in range(_WORKERS)]
        try:
            yield answers
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, todo: Iterator[str], answers: list[Answer], pause: float) -> None:
        for address in todo:
            answers.append(await self.request(next(self._turn), f"/locate/{address}"))
            if pause:
                await asyncio.sleep(pause)


def percentile(seconds: Iterable[float], percent: float) -> float:
    """Return the value that ``percent`` of the values do not exceed.

    Args:
        seconds: At least one value.
        percent: Over 0, up to 100.
    """
    ordered = sorted(seconds)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
