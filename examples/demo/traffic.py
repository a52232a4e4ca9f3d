"""Requests to the instances, round robin as a load balancer sends them, at a rate that does not wait for answers.

A client that waits for one answer before it sends the next hides every pause of the server; ours sends on.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from .answer import Answer
from .http_client import HttpClient, Response
from .tally import Tally

__all__ = ["RATE", "Traffic"]

RATE = 250.0  # a second: a third of what two cores manage beside the screen, so that times show the cache and no queue
_UNDER_WAY = 200  # at most: to send more to a server that does not answer only measures ourselves


class Traffic:
    """Sends requests, and keeps count.

    Args:
        instances: URL by name.
        rate: Requests for addresses in a second.

    Attributes:
        instances: As given.
        rate: As given.
        tally: What came back for addresses.
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
        """Ask every instance the same at the same time."""
        answers = await asyncio.gather(*(self.request(name, path) for name in self.instances))
        return {answer.instance: answer for answer in answers}

    async def locate(self, address: str, instance: str | None = None) -> Answer:
        """Ask one instance, or the one whose turn it is, where an address is."""
        answer = await self.request(instance or next(self._turn), f"/locate/{address}")
        self.tally.note(answer)
        return answer

    async def send(self, addresses: Iterable[str]) -> list[Answer]:
        """Ask for addresses in their order, round robin, and wait for the answers."""
        answers: list[Answer] = []
        await self._send(addresses, answers)
        return answers

    @asynccontextmanager
    async def load(self, addresses: Sequence[str]) -> AsyncIterator[list[Answer]]:
        """Ask for these addresses over and over while the block runs; the list has all answers after it."""
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
                due = max(due + 1 / self.rate, time.monotonic() - 1)  # who fell behind catches up one second at most
                await asyncio.sleep(due - time.monotonic())
