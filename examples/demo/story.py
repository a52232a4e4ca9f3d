"""The story: its acts in their order, and how much of the time each gets."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .calm import asked_again, one_call_per_address
from .outage import killed_under_load
from .returns import back_empty, back_with_an_old_snapshot
from .setting import changed_setting
from .stage import Stage

__all__ = ["ACTS", "Act", "share_of"]


@dataclass(frozen=True)
class Act:
    """One act.

    Attributes:
        title: A word or two.
        headline: What is going on, in a sentence.
        share: Of the seconds that the story takes.
        play: Plays it, given its seconds.
    """

    title: str
    headline: str
    share: float
    play: Callable[[Stage, float], Awaitable[None]]


ACTS = (
    Act("cold start", "Nothing is cached: every address is new to the fleet once", 0.28, one_call_per_address),
    Act("warm", "Everything is cached: the origin is left alone", 0.12, asked_again),
    Act("a change", "One instance changes a setting that all have in memory", 0.15, changed_setting),
    Act("outage", "The server is killed under load, and the origin has no calls left", 0.25, killed_under_load),
    Act("old snapshot", "The server comes back with an old snapshot", 0.10, back_with_an_old_snapshot),
    Act("back empty", "The server dies once more, and comes back empty", 0.10, back_empty),
)


def share_of(play: Callable[[Stage, float], Awaitable[None]]) -> float:
    """Return the share of the time that an act gets."""
    return next(act.share for act in ACTS if act.play is play)
