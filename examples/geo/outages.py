"""The story of an outage: Valkey killed under load, and back again, empty or with an old snapshot.

Each chapter uses addresses and organisations of its own and leaves the scene as it found it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.geo.scene import PREFIX
from examples.geo.stage import Stage, failures, milliseconds, wait_for
from examples.geo.traffic import Answer, percentile

_KNOWN = 60  # addresses that every instance has in memory
_NEW = 30  # addresses that nobody knows, asked for during the outage
_BEFORE = 200  # requests of the load before the kill, so that it is under way
_DURING = 800  # and after it
_ONLINE = 2.0  # seconds from Valkey's return
_OUTAGE_P99 = 0.3  # seconds: one operation timeout and 50 ms, though few should need it; and the client's own time
_OLD, _NEWER = ["DE"], ["DE", "AT"]


async def killed_under_load(stage: Stage) -> None:
    """Kill Valkey while requests come, change settings meanwhile, bring it back empty."""
    names = list(stage.traffic.instances)
    orgs = {f"outage-{name}": name for name in names}  # each changed by another instance
    for org, name in orgs.items():
        await _change(stage, org, _OLD, by=name)
        await stage.traffic.from_all(f"/countries/{org}")
    stage.say("Valkey is killed (SIGKILL) under load")
    async with _load(stage) as answers:
        stage.timed["a steady load, all cached"] = answers[-_BEFORE:]
        await _kill(stage)
        before = len(answers)
        for org, name in orgs.items():
            await _change(stage, org, _NEWER, by=name)
        own = [await _codes(stage, org, name) == _NEWER for org, name in orgs.items()]
        stage.find(
            "a setting can be changed during the outage, and who changed it sees it",
            f"{sum(own)} of {len(own)} instances answer their own change",
            held=all(own),
        )
        new = await stage.traffic.locate(stage.scene.new_addresses(_NEW))
        stage.find("new addresses are still answered", failures(new), held=all(answer.ok for answer in new))
        await _more(answers, _DURING)
        during = stage.timed["the same load while Valkey is dead"] = answers[before:]
        stage.say("Valkey is started again, empty")
        await asyncio.to_thread(stage.scene.valkey.start)
        await _online_again(stage)
        await _nothing_stale(stage, list(orgs), "nothing stale after the return")
    _no_failed_request(stage, "Valkey killed under load: no failed request", answers)
    _patience(stage, during)


async def old_snapshot(stage: Stage) -> None:
    """Restart Valkey from a snapshot older than a change: what the snapshot holds should not come back."""
    org, (changer, *_) = "snapshot", stage.traffic.instances
    await _change(stage, org, _OLD, by=changer)
    await stage.traffic.from_all(f"/countries/{org}")
    await asyncio.to_thread(stage.scene.valkey.save)
    await _change(stage, org, _NEWER, by=changer)
    await stage.traffic.from_all(f"/countries/{org}")
    stage.say("a snapshot was saved, then a setting changed; Valkey is killed and restarted with that snapshot")
    async with _load(stage) as answers:
        await _kill(stage)
        await asyncio.to_thread(stage.scene.valkey.start, from_snapshot=True)
        there = stage.scene.valkey.command("EXISTS", f"{PREFIX}:e:countries:{org}") == ":1"
        stage.find(
            "(so that this can fail: the old copy is in the server again)",
            "it is" if there else "it is not",
            held=there,
        )
        await _online_again(stage)
        await _nothing_stale(stage, [org], "nothing of the old snapshot is answered")
    _no_failed_request(stage, "killed and restarted under load: no failed request", answers)


@asynccontextmanager
async def _load(stage: Stage) -> AsyncIterator[list[Answer]]:
    """Ask for addresses that all instances know while the block runs, and some time before."""
    known = stage.scene.new_addresses(_KNOWN)
    for _ in stage.traffic.instances:
        await stage.traffic.locate(known)
        known = known[1:] + known[:1]  # so that round robin brings each address to each instance
    async with stage.traffic.load(known) as answers:
        await _more(answers, _BEFORE)
        yield answers


async def _more(answers: list[Answer], count: int) -> None:
    """Wait until the load has brought that many more answers."""
    wanted = len(answers) + count

    async def there() -> bool:
        return len(answers) >= wanted

    await wait_for(there)


async def _kill(stage: Stage) -> None:
    await asyncio.to_thread(stage.scene.valkey.kill)
    took = await stage.wait_for_status("degraded")
    reports = await stage.healths()
    reasons = sorted({str(report.get("reason")) for report in reports.values()})
    answers = [*(await stage.traffic.from_all("/healthz")).values(), *(await stage.traffic.from_all("/livez")).values()]
    stage.find(
        "health says degraded and why; the instances stay in service",
        f"degraded after {milliseconds(took)}, reason {', '.join(reasons)}; "
        f"{sum(answer.ok for answer in answers)} of {len(answers)} probes answer 200",
        held=took is not None and "None" not in reasons and all(answer.ok for answer in answers),
    )


async def _online_again(stage: Stage) -> None:
    took = await stage.wait_for_status("healthy")
    stage.find(
        f"online by themselves within {_ONLINE:g} s of Valkey's return",
        f"all healthy after {milliseconds(took)}",
        held=took is not None and took <= _ONLINE,
    )


async def _nothing_stale(stage: Stage, orgs: list[str], promised: str) -> None:
    seen = [await _codes(stage, org, name) for org in orgs for name in stage.traffic.instances]
    stage.find(
        promised, f"{seen.count(_NEWER)} of {len(seen)} answers are the newest", held=seen.count(_NEWER) == len(seen)
    )


def _no_failed_request(stage: Stage, promised: str, answers: list[Answer]) -> None:
    stage.find(promised, failures(answers), held=bool(answers) and all(answer.ok for answer in answers))


def _patience(stage: Stage, answers: list[Answer]) -> None:
    p99 = percentile([answer.seconds for answer in answers], 99)
    stage.find(
        "the outage costs requests next to nothing",
        f"99 % of them took at most {milliseconds(p99)}",
        held=p99 <= _OUTAGE_P99,
    )


async def _change(stage: Stage, org: str, codes: list[str], *, by: str) -> None:
    answer = await stage.traffic.request(by, f"/countries/{org}", method="PUT", json=codes)
    if not answer.ok:
        stage.find(f"PUT /countries/{org}", f"{answer.status} {answer.body}", held=False)


async def _codes(stage: Stage, org: str, name: str) -> list[str] | None:
    answer = await stage.traffic.request(name, f"/countries/{org}")
    return answer.body["countries"] if answer.ok else None
