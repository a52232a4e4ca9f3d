"""The story of a setting that every instance has in memory and one of them changes."""

import asyncio
import itertools
import sqlite3
import time
from contextlib import closing
from statistics import median

from .answer import Answer, milliseconds
from .stage import Stage, sleep_until

__all__ = ["changed_setting"]

_ORG = "acme"
_PERIOD = 0.25  # seconds between two changes: slow enough to watch
_AT_ONCE = 0.5  # seconds: nobody notices. It takes about one; the bound whatever the network does is two seconds
_GIVE_UP = 1.0  # seconds: whoever has not seen a change by then has missed it


async def changed_setting(stage: Stage, seconds: float) -> None:
    """Let one instance after the other change a setting under load; the others should see it at once."""
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
    """Change the database behind the caches' backs: who does not notice has answered from memory."""
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
    """Change the setting; for each other instance: seen at first, asked so late, answered so late."""
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
