"""The budget and the result of a benchmark row, and their words in print. This module measures nothing."""

import statistics
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NOTHING", "PEERS", "SYNC_PEERS", "Effort", "Figures", "Result", "Row", "middle", "shown"]

# The sign for an empty cell.
NOTHING = "-"
# The columns of the table. cachetools takes the place of a peer without a server.
PEERS = ("cashews", "aiocache", "redis-py", "coredis", "valkey-glide", "cachetools")
# The columns of the rows on threads. Django's are its own backends: in memory, or on the server.
SYNC_PEERS = ("redis-py", "valkey-glide-sync", "django-redis", "Django", "dogpile.cache", "cachebox")

# A figure of a peer: measured, or the reason in words why there is none.
Figure = float | str


@dataclass(frozen=True)
class Effort:
    """The size of a run.

    Attributes:
        quick: A smoke test: the figures mean little.
        rounds: Alternating rounds of each comparison; odd, so that a median is one of them.
        seconds: The time of one round of one side, about.
    """

    quick: bool
    rounds: int
    seconds: float

    @classmethod
    def of(cls, *, quick: bool) -> "Effort":
        """Return twenty-one rounds of a twentieth of a second, or just enough to see that everything runs."""
        return cls(quick=True, rounds=3, seconds=0.002) if quick else cls(quick=False, rounds=21, seconds=0.05)


@dataclass(frozen=True)
class Figures:
    """The results of one row.

    Attributes:
        ours: The median of our rounds, in the row's unit.
        base: The same of the subject that we are compared with; None if the budget is a plain number.
        ratio: The value that the budget bounds: the median of the rounds' ratios, or the plain number.
        peers: The peers' figures, in the same unit and from the same rounds.
        note: A reader's hints about this run.
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
            base: The subject that we are compared with.
            peers: Peers without figures, each with its reason; the rounds have the other peers.
        """
        ratios = [ours / other for ours, other in zip(rounds["ours"], rounds[base], strict=True)]
        measured = {name: middle(values) for name, values in rounds.items() if name in {*PEERS, *SYNC_PEERS}}
        return cls(middle(rounds["ours"]), middle(rounds[base]), middle(ratios), {**peers, **measured})


@dataclass(frozen=True)
class Row:
    """One line of the budget.

    Attributes:
        name: The name for ``--only``.
        path: The subject of the measurement.
        against: The base of the comparison.
        unit: The unit of the figures.
        limit: The budget.
        measure: Measures the row, with the server's URL and the effort.
        at_least: True if the budget is a lower bound.
        plain: True if the budget is in the row's unit and not a ratio.
        columns: The peers in its table: rows with the same peers make one table.
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
        """The budget as text, such as ``≤ 2.5 x``, ``≤ 30 ms`` or ``= 1 load``."""
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
        """Return the result for ``--json``."""
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
    """Return a value with three digits: ``0.0263 µs``, ``1.05``, ``27,400 /s``."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()
