"""The story of an outage: the server is killed under load while the origin has no calls left.

It leaves the server dead, with a snapshot that is older than some changes. ``acts`` brings the server back.
"""

import asyncio
import time
from collections.abc import Sequence

from .numbers import scrape
from .scene import OFFLINE_TTL, PREFIX
from .stage import Stage, sleep_until, wait_for
from .traffic import Answer, failures, milliseconds, percentile

__all__ = ["SNAPSHOT", "everywhere", "killed_under_load", "origin_answers_again"]

SNAPSHOT = "snapshot"
"""The organisation whose setting changes between the snapshot and the kill."""

_LIMIT = 45  # calls a minute, as a well-known free geo-IP service allows
_BEYOND = 15  # more new addresses than that
_NEW = 10  # unknown addresses, asked for during the outage
_OLD, _NEWER = ["DE"], ["DE", "AT"]
_COSTS = 0.25  # seconds more than before: the default operation timeout, though few should need it
_LATEST = OFFLINE_TTL + 0.1  # seconds: the bound, and the time between two readings of clocks
_SOON = 1.0  # seconds: no caller waits for an answer that cannot come
_PAST = 0.5  # seconds of load at least, after near copies have ended
_RETRY = 0.25  # seconds between two requests to see whether the origin answers again


async def killed_under_load(stage: Stage, seconds: float) -> None:
    """Bring the origin to its limit, kill the server, change settings; no request should get an error for it."""
    end = time.monotonic() + seconds
    orgs = await _settings_and_snapshot(stage)
    await everywhere(stage)
    async with stage.traffic.load(stage.popular) as answers:
        await _origin_at_its_limit(stage)
        stage.say(f"{stage.server} is killed (SIGKILL) under load")
        before, calls = len(answers), await stage.calls()
        await _kill(stage)
        killed = time.monotonic()
        await _changed_meanwhile(stage, orgs)
        await _nobody_knows(stage)
        await sleep_until(max(end, killed + OFFLINE_TTL + _PAST))
        late = sum([(await scrape(stage.traffic, name)).late for name in stage.names])
        more = (await stage.calls())["total"] - calls["total"]
        during = stage.timed[f"{stage.server} dead, origin at its limit"] = answers[before:]
    _no_error(stage, answers, late, more)
    _patience(stage, answers[:before], during)


async def everywhere(stage: Stage) -> None:
    """Make sure that every instance has the popular addresses in memory."""
    for address in stage.popular:
        await asyncio.gather(*(stage.traffic.locate(address, name) for name in stage.names))


async def _settings_and_snapshot(stage: Stage) -> dict[str, str]:
    """Bring settings into each instance's memory; return the instance that will change each."""
    orgs = {f"outage-{name}": name for name in stage.names}
    for org, name in {**orgs, SNAPSHOT: stage.names[0]}.items():
        await stage.change(org, _OLD, by=name)
        await stage.traffic.from_all(f"/countries/{org}")
    await asyncio.to_thread(stage.scene.valkey.save)
    # When the server is back, it is too late to ask: the instance that changed the setting removes it within 1 ms.
    stage.saved = stage.scene.valkey.command("EXISTS", f"{PREFIX}:e:countries:{SNAPSHOT}") == ":1"
    await stage.change(SNAPSHOT, _NEWER, by=stage.names[0])
    await stage.traffic.from_all(f"/countries/{SNAPSHOT}")
    stage.say("a snapshot is saved, then a setting changes")
    return orgs


async def _origin_at_its_limit(stage: Stage) -> None:
    stage.say(f"the origin allows {_LIMIT} calls a minute now")
    await asyncio.to_thread(stage.scene.limit_origin, _LIMIT)
    answers = await stage.traffic.send(stage.scene.new_addresses(_LIMIT + _BEYOND))
    answered, clear = sum(answer.ok for answer in answers), sum(answer.refused for answer in answers)
    stage.find(
        "origin at its limit, nothing known: a clear error",
        f"{answered} new addresses answered, {clear} of {_BEYOND} others are 503 with a reason and Retry-After",
        held=(answered, clear) == (_LIMIT, _BEYOND),
    )


async def _kill(stage: Stage) -> None:
    await asyncio.to_thread(stage.scene.valkey.kill)
    took = await stage.wait_for_status("degraded")
    reasons = sorted({str(report.get("reason")) for report in (await stage.healths()).values()})
    probes = [*(await stage.traffic.from_all("/healthz")).values(), *(await stage.traffic.from_all("/livez")).values()]
    stage.find(
        "health says degraded and why; all stay in service",
        f"degraded after {milliseconds(took)}, reason {', '.join(reasons)}; "
        f"{sum(answer.ok for answer in probes)} of {len(probes)} probes answer 200",
        held=took is not None and "None" not in reasons and all(answer.ok for answer in probes),
    )


async def _changed_meanwhile(stage: Stage, orgs: dict[str, str]) -> None:
    """Change a setting through each instance, which sees it itself; other instances do when they ask the database."""
    for org, name in orgs.items():
        await stage.change(org, _NEWER, by=name)
    changed = time.monotonic()
    own = [await stage.codes(org, name) == _NEWER for org, name in orgs.items()]
    stage.find(
        "a setting changed meanwhile: seen by who changed it",
        f"{sum(own)} of {len(own)} instances answer their own change",
        held=all(own),
    )

    last_old = changed

    async def all_answer_it() -> bool:
        nonlocal last_old
        asked = time.monotonic()
        newest = all([await stage.codes(org, name) == _NEWER for org in orgs for name in stage.names])
        last_old = last_old if newest else asked
        return newest

    came = await wait_for(all_answer_it)
    stage.find(
        f"the others see it when their copies end, in {OFFLINE_TTL:g} s",
        f"the last old answer was asked for {milliseconds(last_old - changed)} after the change",
        held=came is not None and last_old - changed <= _LATEST,
    )


async def _nobody_knows(stage: Stage) -> None:
    answers = await stage.traffic.send(stage.scene.new_addresses(_NEW))
    refused = [answer.seconds for answer in answers if answer.refused]
    slowest = milliseconds(max(refused)) if refused else "never"
    stage.find(
        f"no {stage.server}, no origin, nothing known: a clear error",
        f"{len(refused)} of {len(answers)} are 503 with a reason and Retry-After, all within {slowest}",
        held=len(refused) == len(answers) and max(refused) <= _SOON,
    )


def _no_error(stage: Stage, answers: Sequence[Answer], late: int, calls: int) -> None:
    stage.find(
        f"{stage.server} dead, origin at its limit: no failed request",
        f"{failures(answers)}; {calls} origin calls, {late:,} answers past their {OFFLINE_TTL:g} s",
        held=bool(answers) and all(answer.ok for answer in answers) and calls == 0 and late > 0,
    )


def _patience(stage: Stage, calm: Sequence[Answer], during: Sequence[Answer]) -> None:
    usual, p99 = (percentile([answer.seconds for answer in answers], 99) for answers in (calm, during))
    stage.find(
        "the outage costs requests next to nothing",
        f"99 % of them took at most {milliseconds(p99)}; just before {milliseconds(usual)}",
        held=p99 <= usual + _COSTS,
    )


async def origin_answers_again(stage: Stage) -> None:
    """Lift the origin's limit, and wait until every instance has noticed."""
    await asyncio.to_thread(stage.scene.limit_origin)
    stage.say("the origin lifts its limit")
    for name, address in zip(stage.names, stage.scene.new_addresses(len(stage.names)), strict=True):

        async def answers(name: str = name, address: str = address) -> bool:
            return (await stage.traffic.locate(address, name)).ok

        await wait_for(answers, _RETRY)
