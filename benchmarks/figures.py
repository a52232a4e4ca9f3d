"""What a benchmark row promises and what came out, and the words they are printed in. No measuring here."""

import statistics
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NOTHING", "PEERS", "SYNC_PEERS", "Effort", "Figures", "Result", "Row", "middle", "shown"]

# What stands where there is nothing to say.
NOTHING = "-"
# The columns of the table. cachetools stands in where a peer without a server is meant.
PEERS = ("cashews", "aiocache", "redis-py", "coredis", "valkey-glide", "cachetools")
# Those of the rows on threads. Django's are its own backends: in memory, or on the server.
SYNC_PEERS = ("redis-py", "valkey-glide-sync", "django-redis", "Django", "dogpile.cache", "cachebox")

# A figure of a peer: measured, or in words why there is none.
Figure = float | str


@dataclass(frozen=True)
class Effort:
    """How much a run may take.

    Attributes:
        quick: A smoke test: the figures mean little.
        rounds: Alternating rounds of each comparison; odd, so that a median is one of them.
        seconds: What one round of one side takes, about.
    """

    quick: bool
    rounds: int
    seconds: float

    @classmethod
    def of(cls, *, quick: bool) -> "Effort":
        """Twenty-one rounds of a twentieth of a second, or just enough to see that everything runs."""
        return cls(quick=True, rounds=3, seconds=0.002) if quick else cls(quick=False, rounds=21, seconds=0.05)


@dataclass(frozen=True)
class Figures:
    """What came out of one row.

    Attributes:
        ours: The median of our rounds, in the row's unit.
        base: The same of what we stand beside; None where the budget is a plain number.
        ratio: What is held against the budget: the median of the rounds' ratios, or the plain number.
        peers: Their figures, in the same unit and from the same rounds.
        note: What a reader has to know of this run.
    """

    ours: float
    base: float | None
    ratio: float
    peers: Mapping[str, Figure] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, rounds: Mapping[str, Sequence[float]], base: str, peers: Mapping[str, Figure]) -> "Figures":
        """Take the medians of alternating rounds.

        Args:
            rounds: Figures by subject, ``ours`` and ``base`` among them, one a round.
            base: The subject we are held against.
            peers: Those without figures and why; the others are taken from the rounds.
        """
        ratios = [ours / other for ours, other in zip(rounds["ours"], rounds[base], strict=True)]
        measured = {name: middle(values) for name, values in rounds.items() if name in {*PEERS, *SYNC_PEERS}}
        return cls(middle(rounds["ours"]), middle(rounds[base]), middle(ratios), {**peers, **measured})


@dataclass(frozen=True)
class Row:
    """One line of the budget.

    Attributes:
        name: For ``--only``.
        path: What is measured.
        against: What it is held against.
        unit: Of the figures.
        limit: The budget.
        measure: Does it. Gets the server's URL and the effort.
        at_least: The budget is a lower bound.
        plain: The budget is in the row's unit and not a ratio.
        columns: The peers beside whom it is shown: rows with the same ones make one table.
    """

    name: str
    path: str
    against: str
    unit: str
    limit: float
    measure: Callable[[str, Effort], Coroutine[Any, Any, Figures]]
    at_least: bool = False
    plain: bool = False
    columns: tuple[str, ...] = PEERS

    @property
    def budget(self) -> str:
        """Such as ``≤ 2.5 x``, ``≤ 30 ms`` or ``= 1 load``."""
        unit = f" {self.unit}" if self.plain else " x"
        if self.plain and self.limit == 1:
            return f"= 1{unit}"
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{unit}"


@dataclass(frozen=True)
class Result:
    """A row with its figures, or with the error that kept it from having any."""

    row: Row
    figures: Figures | None
    error: str = ""

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED`` or ``FAILED``."""
        if self.figures is None:
            return "FAILED"
        kept = self.figures.ratio >= self.row.limit if self.row.at_least else self.figures.ratio <= self.row.limit
        return "ok" if kept else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        row, figures = self.row, self.figures
        told: dict[str, Any] = {"row": row.name, "path": row.path, "against": row.against, "unit": row.unit}
        told |= {"budget": row.budget, "verdict": self.verdict}
        if figures is None:
            return told | {"error": self.error}
        told |= {"ours": figures.ours, "base": figures.base, "ratio": figures.ratio}
        return told | {"peers": dict(figures.peers), "note": figures.note}


def middle(values: Sequence[float]) -> float:
    """Return the median: a round that other work disturbed does not move it."""
    return statistics.median(values)


def shown(value: float, unit: str = "") -> str:
    """Three digits that count: ``0.0263 µs``, ``1.05``, ``27,400 /s``."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()
