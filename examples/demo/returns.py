"""The story of two returns: the server comes back with an old snapshot, dies again, and comes back empty."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .answer import failures, milliseconds
from .outage import SNAPSHOT, everywhere, origin_answers_again
from .scene import PREFIX
from .stage import Stage, sleep_until

__all__ = ["back_empty", "back_with_an_old_snapshot"]

_ONLINE = 2.0  # seconds from the server's return
_DEAD = 0.3  # share of an act that passes between kill and return


async def back_with_an_old_snapshot(stage: Stage, seconds: float) -> None:
    """Start the server from a snapshot older than some changes: what it holds should not come back."""
    end = time.monotonic() + seconds
    async with _load(stage, f"{stage.server} back with an old snapshot: no failed request"):
        await origin_answers_again(stage)  # the return makes the fleet go cold once, so it has to be asked
        await asyncio.to_thread(stage.scene.valkey.start, from_snapshot=True)
        there = stage.scene.valkey.command("EXISTS", f"{PREFIX}:e:countries:{SNAPSHOT}") == ":1"
        stage.say(f"{stage.server} is back with the old snapshot; the old setting is {'' if there else 'NOT '}in it")
        await _online_again(stage)
        await _nothing_stale(stage, "nothing of the old snapshot is answered", there=there)
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
