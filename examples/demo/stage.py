"""The stage of the acts: the scene, the traffic and the findings, shown as they are made."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from .numbers import Numbers
from .scene import Scene
from .traffic import Answer, Traffic

__all__ = ["Finding", "Show", "Stage", "sleep_until", "wait_for"]

_PAUSE = 0.01  # seconds between two checks
_PATIENCE = 10.0  # seconds; an act that waits longer has found a fault
_POPULAR = 12  # addresses that every instance has in memory: few, since after an outage each costs another call


@dataclass(frozen=True)
class Finding:
    """One line of the table at the end."""

    promised: str
    seen: str
    held: bool


class Show(Protocol):
    """``Lines`` or ``Screen``: gets each event at its time; a context manager around the whole story."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def act(self, number: int) -> None:
        """An act of the story begins; 0 is the first."""

    def say(self, line: str) -> None:
        """Show a line of the story."""

    def found(self, finding: Finding) -> None:
        """Show a finding."""

    def count(self, numbers: Numbers) -> None:
        """Show the newest numbers; called several times a second."""


@dataclass
class Stage:
    """The scene, the traffic to it, and the findings so far.

    Attributes:
        scene: The processes.
        traffic: Requests to all instances.
        requests: The addresses to ask for, in their order.
        show: Shows the events.
        findings: The findings in the order of the story.
        timed: Answers whose times get a line, by the meaning of the times.
        changes: Seconds until the other instances answered a change, for each change of a setting.
        newest: The newest value of each setting, by organisation.
        saved: Whether the snapshot has the setting that changes after it.
    """

    scene: Scene
    traffic: Traffic
    requests: Sequence[str]
    show: Show
    findings: list[Finding] = field(default_factory=list)
    timed: dict[str, Sequence[Answer]] = field(default_factory=dict)
    changes: list[float] = field(default_factory=list)
    newest: dict[str, list[str]] = field(default_factory=dict)
    saved: bool = False

    @property
    def names(self) -> list[str]:
        """Names of the instances."""
        return list(self.traffic.instances)

    @property
    def server(self) -> str:
        """The server's own name: Valkey or Redis."""
        return self.scene.valkey.version.partition(" ")[0]

    @property
    def popular(self) -> list[str]:
        """The most requested addresses."""
        return [address for address, _ in Counter(self.requests).most_common(_POPULAR)]

    @property
    def held(self) -> bool:
        """True if there are findings, and all are as promised."""
        return bool(self.findings) and all(finding.held for finding in self.findings)

    def say(self, line: str) -> None:
        """Tell a line of the story."""
        self.show.say(line)

    def find(self, promised: str, seen: str, *, held: bool) -> None:
        """Record an observation of a promise, and show it."""
        self.findings.append(Finding(promised, seen, held))
        self.show.found(self.findings[-1])

    async def change(self, org: str, codes: list[str], *, by: str) -> Answer:
        """Change a setting through one instance."""
        answer = await self.traffic.request(by, f"/countries/{org}", method="PUT", json=codes)
        if not answer.ok:
            self.find(f"PUT /countries/{org}", f"{answer.status} {answer.body}", held=False)
        self.newest[org] = codes
        return answer

    async def codes(self, org: str, instance: str) -> list[str] | None:
        """Ask one instance for a setting; None if it does not answer."""
        answer = await self.traffic.request(instance, f"/countries/{org}")
        return answer.body["countries"] if answer.ok else None

    async def calls(self) -> Any:
        """Return the origin's counts, see ``Scene.calls``."""
        return await asyncio.to_thread(self.scene.calls)

    async def healths(self) -> dict[str, Any]:
        """Return the health report of every instance by name."""
        answers = await self.traffic.from_all("/healthz")
        return {name: answer.body if answer.status else {} for name, answer in answers.items()}

    async def wait_for_status(self, status: str) -> float | None:
        """Wait until every instance reports this status; return the seconds it took, None if it never came."""

        async def all_say_so() -> bool:
            return {report.get("status") for report in (await self.healths()).values()} == {status}

        return await wait_for(all_say_so)


async def wait_for(condition: Callable[[], Awaitable[bool]], pause: float = _PAUSE) -> float | None:
    """Wait for a condition; return the seconds it took, None if it never came."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > _PATIENCE:
            return None
        await asyncio.sleep(pause)
    return time.monotonic() - began


async def sleep_until(moment: float) -> None:
    """Wait for a moment of the monotonic clock; return at once if it is over."""
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
