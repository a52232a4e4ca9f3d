"""What a run of the demo has shown, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .answer import Answer, percentile
from .finding import Finding
from .numbers import Numbers

__all__ = ["PERCENTILES", "Result"]

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}


@dataclass(frozen=True)
class Result:
    """Everything that was measured.

    Attributes:
        seconds: What the whole run took.
        seed: Of the addresses.
        trace: The file that the addresses came from instead.
        findings: What was promised and what was seen.
        timed: Answers by what their times show.
        changes: Seconds until the others answered, for each change of a setting.
        numbers: The last look at everything.
        last_words: Of each process's log, where a promise was not held.
    """

    seconds: float
    seed: int
    trace: Path | None
    findings: Sequence[Finding]
    timed: Mapping[str, Sequence[Answer]]
    changes: Sequence[float]
    numbers: Numbers
    last_words: Mapping[str, str]

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        return all(finding.held for finding in self.findings)

    def latencies(self) -> dict[str, dict[str, float]]:
        """Milliseconds by what they show and percentile."""
        return {
            name: {
                label: percentile([answer.seconds for answer in answers], percent) * 1000
                for label, percent in PERCENTILES.items()
            }
            for name, answers in self.timed.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON. Times are milliseconds, where not said otherwise."""
        numbers = self.numbers
        return {
            "fleetcache": version("fleetcache"),
            "server": numbers.server,
            "seconds": round(self.seconds, 1),
            "addresses": {"trace": str(self.trace)} if self.trace else {"seed": self.seed},
            "held": self.held,
            "promises": [asdict(finding) for finding in self.findings],
            "requests": {"total": numbers.requests, "refused": numbers.refused, "failed": numbers.failed},
            "origin_calls": {"fleetcache": numbers.calls["total"], "separate_caches": numbers.separate},
            "latency_ms": self.latencies(),
            "change_seen_ms": [seconds * 1000 for seconds in self.changes],
            "instances": [asdict(instance) for instance in numbers.instances],
        }
