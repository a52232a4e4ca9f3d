"""Acts on a server, step by step, and the comparison of two sides after the same steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from fleetcache.shared.scripts import SCRIPTS

from .frames import Command, Push
from .sides import Real, Side, Simulated

__all__ = ["Act", "Connect", "Expire", "Send", "Step", "difference", "play"]

# Lifetimes in play differ by five seconds or more; a sequence that took longer than this proves nothing.
SLACK_MS = 2500
# The longest value that is shown in full.
BRIEF = 20
# Each side waits about two milliseconds for time to pass, and counts whole ones.
ROUNDING_MS = 100


class Step(ABC):
    """One step. ``after`` is the other side's result of the same step, for a side that must wait for it."""

    @abstractmethod
    def play(self, side: Side, after: Any) -> list[Any]:
        """Play the step on a side, and return the frames."""


@dataclass(frozen=True)
class Connect(Step):
    """A client connects; an earlier client of this number is closed."""

    client: int

    def play(self, side: Side, after: Any) -> list[Any]:
        del after
        side.connect(self.client)
        return side.exchange(self.client, [("HELLO", 3)])


@dataclass(frozen=True)
class Send(Step):
    """A client sends commands in one write. ``passing``: then time passes, and keys with a life of 1 ms are due."""

    client: int
    commands: tuple[Command, ...]
    passing: bool = False

    def play(self, side: Side, after: Any) -> list[Any]:
        del after
        frames = side.exchange(self.client, self.commands)
        if self.passing:
            side.pass_time()
        return frames

    def __str__(self) -> str:
        commands = " ".join(f"({_shown(command)})" for command in self.commands)
        return f"client {self.client}: {commands}{', then time passes' if self.passing else ''}"


def _shown(command: Command) -> str:
    return " ".join(_SCRIPT_NAMES.get(arg) or (arg if isinstance(arg, str) else _brief(arg)) for arg in command)


def _brief(seen: Any) -> str:
    if isinstance(seen, list):
        return f"[{', '.join(map(_brief, seen))}]"
    if isinstance(seen, bytes) and len(seen) > BRIEF:
        return f"<{len(seen)} bytes {seen[:2].decode(errors='replace')}…{seen[-2:].decode(errors='replace')}>"
    return repr(seen)


_SCRIPT_NAMES: dict[object, str] = {
    source: f"<{script.name}>" for script in SCRIPTS.values() for source in (script.text, script.sha)
}


@dataclass(frozen=True)
class Expire(Step):
    """The active cycle runs until no key is due. Its order is random, so the pushes are sorted."""

    clients: int

    def play(self, side: Side, after: Any) -> list[Any]:
        before = [side.exchange(client, []) for client in range(self.clients)]
        left = side.expire(after[0] if after else 0)
        told = [side.exchange(client, []) for client in range(self.clients)]
        return [left, before, [sorted(frames[:-1], key=_by_key) + frames[-1:] for frames in told]]


@dataclass(frozen=True)
class Act(Step):
    """An act on the server, on each side in its own way; both results are compared."""

    name: str
    to_real: Callable[[Real], Any]
    to_simulated: Callable[[Simulated], Any]

    def play(self, side: Side, after: Any) -> list[Any]:
        del after
        if isinstance(side, Real):
            return [self.to_real(side)]
        assert isinstance(side, Simulated)
        return [self.to_simulated(side)]

    def __str__(self) -> str:
        return self.name


def _by_key(frame: Any) -> bytes:
    assert isinstance(frame, Push)
    return frame.key or b""


def play(side: Side, steps: Sequence[Step], after: Sequence[Any] = ()) -> list[list[Any]]:
    """Return the frames of each step."""
    return [step.play(side, seen) for step, seen in zip_longest(steps, after)]


def difference(steps: Sequence[Step], real: Sequence[Any], simulated: Sequence[Any]) -> str | None:
    """Tell the story up to the first step at which they differ, or None."""
    for number, (truth, claim) in enumerate(zip(real, simulated, strict=True)):
        if not _agree(truth, claim):
            earlier = [f"{step}\n    {_brief(seen)}" for step, seen in zip(steps[:number], real, strict=False)]
            first = next(
                (at for at, pair in enumerate(zip(truth, claim, strict=False)) if not _agree(*pair)), "the last"
            )
            last = [f"    real      {_brief(truth)}", f"    simulated {_brief(claim)}", f"    from frame {first} on"]
            return "\n".join([*earlier, str(steps[number]), *last])
    return None


def _agree(real: Any, simulated: Any) -> bool:
    if isinstance(real, list) and isinstance(simulated, list):
        return len(real) == len(simulated) and all(map(_agree, real, simulated))
    if isinstance(real, int) and isinstance(simulated, int) and simulated > SLACK_MS:
        return -SLACK_MS < real - simulated < ROUNDING_MS  # a remaining life: the simulation is quicker
    return type(real) is type(simulated) and bool(real == simulated)
