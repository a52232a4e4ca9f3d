"""The story: its acts in their order, and each act's share of the time. The outage has its own file."""

import asyncio
import itertools
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from statistics import median

from .outage import SNAPSHOT, everywhere, killed_under_load, origin_answers_again
from .stage import Stage, sleep_until
from .traffic import Answer, failures, milliseconds

__all__ = [
    "ACTS",
    "Act",
    "asked_again",
    "back_empty",
    "back_with_an_old_snapshot",
    "changed_setting",
    "one_call_per_address",
    "share_of",
]

_ONLINE = 2.0  # seconds from the server's return
_DEAD = 0.3  # share of an act that passes between kill and return
_ORG = "acme"
_PERIOD = 0.25  # seconds between two changes: slow enough to watch
_AT_ONCE = 0.5  # seconds; too short to notice. A change takes milliseconds; on any network the bound is two seconds
_GIVE_UP = 1.0  # seconds; an instance that has not answered a change by then has missed it


async def one_call_per_address(stage: Stage, seconds: float) -> None:
    """Send addresses round robin; the origin should hear of each once, through any instance."""
    requests = stage.requests[: max(1, int(stage.traffic.rate * seconds))]
    wanted = set(requests)
    stage.say(f"{len(requests):,} requests for {len(wanted):,} addresses, round robin, nothing cached yet")
    stage.scene.forget_calls()
    answers = stage.timed["nothing cached yet"] = await stage.traffic.send(requests)
    calls = await stage.calls()
    asked = defaultdict(set)
    bodies = defaultdict(set)
    for answer in answers:
        asked[answer.instance].add(answer.path)
        bodies[answer.path].add(repr(answer.body))
    separate = sum(len(addresses) for addresses in asked.values())
    stage.find(
        "one origin call per address for all instances",
        f"{calls['total']:,} calls for {len(wanted):,} addresses; separate in-memory caches: {separate:,}",
        held=set(calls["by_address"]) == wanted and set(calls["by_address"].values()) == {1},
    )
    same = all(len(each) == 1 for each in bodies.values())
    stage.find(
        "every request answered, by every instance alike",
        f"{failures(answers)}; {'the same answers' if same else 'DIFFERENT answers'}",
        held=same and all(answer.ok for answer in answers),
    )


async def asked_again(stage: Stage, seconds: float) -> None:
    """Ask for the same addresses again, round robin: the origin should not notice."""
    requests = stage.requests[: max(1, int(stage.traffic.rate * seconds))]
    stage.say(f"{len(requests):,} of them again: in memory, or one hop away in {stage.scene.valkey.version}")
    before = await stage.calls()
    answers = stage.timed["all cached"] = await stage.traffic.send(requests)
    more = (await stage.calls())["total"] - before["total"]
    stage.find(
        "asked again, the origin is left alone",
        f"{failures(answers)}; {more} calls",
        held=more == 0 and all(answer.ok for answer in answers),
    )


async def back_with_an_old_snapshot(stage: Stage, seconds: float) -> None:
    """Start the server from a snapshot older than some changes: its old settings should not come back."""
    end = time.monotonic() + seconds
    async with _load(stage, f"{stage.server} back with an old snapshot: no failed request"):
        await origin_answers_again(stage)  # the return makes the fleet go cold once, so it has to be asked
        await asyncio.to_thread(stage.scene.valkey.start, from_snapshot=True)
        stage.say(
            f"{stage.server} is back with the old snapshot; the old setting is {'' if stage.saved else 'NOT '}in it"
        )
        await _online_again(stage)
        await _nothing_stale(stage, "nothing of the old snapshot is answered", there=stage.saved)
        await sleep_until(end)


async def back_empty(stage: Stage, seconds: float) -> None:
    """Kill the server once more, change a setting, and start it with nothing in it."""
    end = time.monotonic() + seconds
    await everywhere(stage)
    async with _load(stage, "killed again, back empty: no failed request"):
        await asyncio.to_thread(stage.scene.valkey.kill)
        await stage.wait_for_status("degraded")
        stage.say(f"{stage.server} is killed again, and a setting changed")
        await stage.change(SNAPSHOT, ["CH"], by=stage.names[-1])
        await sleep_until(end - seconds * (1 - _DEAD))
        await asyncio.to_thread(stage.scene.valkey.start)
        stage.say(f"{stage.server} is back, empty")
        await _online_again(stage)
        await _nothing_stale(stage, "nothing stale after the return")
        await sleep_until(end)


@asynccontextmanager
async def _load(stage: Stage, promised: str) -> AsyncIterator[None]:
    async with stage.traffic.load(stage.popular) as answers:
        yield
    stage.timed[promised.partition(":")[0]] = answers
    stage.find(promised, failures(answers), held=bool(answers) and all(answer.ok for answer in answers))


async def _online_again(stage: Stage) -> None:
    took = await stage.wait_for_status("healthy")
    stage.find(
        f"online by themselves within {_ONLINE:g} s of {stage.server}'s return",
        f"all healthy after {milliseconds(took)}",
        held=took is not None and took <= _ONLINE,
    )


async def _nothing_stale(stage: Stage, promised: str, *, there: bool = True) -> None:
    newest = [await stage.codes(org, name) == codes for org, codes in stage.newest.items() for name in stage.names]
    able = "" if there else "; BUT the snapshot did not hold the old setting, so this shows nothing"
    stage.find(
        promised,
        f"{sum(newest)} of {len(newest)} answers are the newest{able}",
        held=all(newest) and there,
    )


async def changed_setting(stage: Stage, seconds: float) -> None:
    """Let one instance after the other change a setting under load; the other instances should see it at once."""
    end = time.monotonic() + seconds
    stage.say("each instance in turn changes a setting, under load")
    await _answered_from_memory(stage)
    async with stage.traffic.load(stage.requests):
        tries, asked, late = 0, 0, 0.0
        for number in itertools.count():
            if late > _AT_ONCE or (number >= len(stage.names) and time.monotonic() > end):
                break
            began = time.monotonic()
            seen = await _change_and_look(stage, ["DE", f"{chr(ord('A') + number % 26)}X"], number % len(stage.names))
            asked += len(seen)
            tries += sum(1 for first, _, _ in seen if first)
            late = max(late, *(delay for _, delay, _ in seen))
            stage.changes.append(max(answered for _, _, answered in seen))
            if number < len(stage.names):
                after = milliseconds(stage.changes[-1])
                stage.say(f"  changed on {stage.names[number]}: seen by all after {after}")
            await sleep_until(min(end, began + _PERIOD))
    stage.find(
        "a change is seen by the others at once",
        f"{tries} of {asked} first requests after it had it; all answered it within "
        f"{milliseconds(max(stage.changes))}, median {milliseconds(median(stage.changes))}",
        held=late <= _AT_ONCE,
    )


async def _answered_from_memory(stage: Stage) -> None:
    """Change the database behind the caches' backs: an instance that does not notice has answered from memory."""
    await stage.change(_ORG, ["AA"], by=stage.names[0])
    await stage.traffic.from_all(f"/countries/{_ORG}")
    with closing(sqlite3.connect(stage.scene.database)) as database, database:
        database.execute("UPDATE countries SET codes = ? WHERE org = ?", ('["ZZ"]', _ORG))
    unaware = [await stage.codes(_ORG, name) == ["AA"] for name in stage.names]
    stage.find(
        "the setting is answered from memory",
        f"changed behind the caches' back, {sum(unaware)} of {len(unaware)} did not notice",
        held=all(unaware),
    )


async def _change_and_look(stage: Stage, codes: list[str], changer: int) -> list[tuple[bool, float, float]]:
    """Change the setting; return for each other instance: seen at first, seconds to the request and to the answer."""
    names = stage.names
    changed = (await stage.change(_ORG, codes, by=names.pop(changer))).ended
    return await asyncio.gather(*(_look(stage, name, codes, changed) for name in names))


async def _look(stage: Stage, name: str, codes: list[str], changed: float) -> tuple[bool, float, float]:
    for tries in itertools.count(1):
        answer = await stage.traffic.request(name, f"/countries/{_ORG}")
        if _has(answer, codes) or answer.began - changed > _GIVE_UP:
            return tries == 1, answer.began - changed, answer.ended - changed
    raise AssertionError


def _has(answer: Answer, codes: list[str]) -> bool:
    return answer.ok and bool(answer.body["countries"] == codes)


@dataclass(frozen=True)
class Act:
    """One act.

    Attributes:
        title: A word or two.
        headline: The event, in a sentence.
        share: The share of the story's seconds.
        play: Plays the act in its seconds.
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
