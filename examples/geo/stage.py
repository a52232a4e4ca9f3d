"""What the chapters of the story are handed, and what they hand back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from examples.geo.scene import Scene
from examples.geo.traffic import Answer, Traffic

_PAUSE = 0.01  # seconds between two looks
_PATIENCE = 10.0  # seconds; a chapter that waits longer for something has found a fault


@dataclass(frozen=True)
class Finding:
    """One line of the table at the end."""

    promised: str
    seen: str
    held: bool


@dataclass
class Stage:
    """The scene, the traffic to it, and what was found so far.

    Attributes:
        scene: The processes.
        traffic: Requests to all instances.
        say: Prints a line of the story.
        findings: In the order of the story.
        timed: Answers whose times are worth a line, by what they show.
    """

    scene: Scene
    traffic: Traffic
    say: Callable[[str], None]
    findings: list[Finding] = field(default_factory=list)
    timed: dict[str, list[Answer]] = field(default_factory=dict)

    def find(self, promised: str, seen: str, *, held: bool) -> None:
        """Note what was seen of a promise, and say it."""
        self.findings.append(Finding(promised, seen, held))
        self.say(f"  {'ok' if held else 'FAILED'}: {promised}: {seen}")

    async def healths(self) -> dict[str, Any]:
        """Return the health report of every instance by name."""
        answers = await self.traffic.from_all("/healthz")
        return {name: answer.body if answer.status else {} for name, answer in answers.items()}

    async def wait_for_status(self, status: str) -> float | None:
        """Wait until every instance reports this status; return the seconds it took, None if it never came."""

        async def all_say_so() -> bool:
            return {report.get("status") for report in (await self.healths()).values()} == {status}

        return await wait_for(all_say_so)


async def wait_for(condition: Callable[[], Awaitable[bool]]) -> float | None:
    """Wait for a condition; return the seconds it took, None if it never came."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > _PATIENCE:
            return None
        await asyncio.sleep(_PAUSE)
    return time.monotonic() - began


def milliseconds(seconds: float | None) -> str:
    """Write a measured time for people."""
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"


def failures(answers: list[Answer]) -> str:
    """Write how many requests failed, and the first reason."""
    failed = [answer for answer in answers if not answer.ok]
    first = f" (first: {failed[0].status} {failed[0].body} from {failed[0].instance})" if failed else ""
    return f"{len(answers):,} requests, {len(failed)} failed{first}"
