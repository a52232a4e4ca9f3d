"""The story while all is well: one call per address, a setting that changes, an origin without calls left.

Each chapter uses addresses and organisations of its own and leaves the scene as it found it.
"""

import asyncio
from collections import defaultdict

from examples.geo.countries import Countries
from examples.geo.origin import LIMIT
from examples.geo.stage import Stage, failures, milliseconds
from examples.geo.traffic import Answer, Traffic

_AT_ONCE = 0.1  # seconds: nobody notices. The bound that is promised whatever the network does is two seconds
_GIVE_UP = 1.0  # seconds: whoever has not seen a change by then has missed it
_ROUNDS = 20
_AGAIN = 1_500  # requests, once everything is cached
_BEYOND = 15  # more new addresses than the origin answers in a minute
_SHORT_TTL = 1.0  # seconds


async def one_call_per_address(stage: Stage, requests: list[str]) -> None:
    """Send real addresses round robin; the origin should hear of each once, whoever was asked."""
    scene, traffic = stage.scene, stage.traffic
    stage.say(f"{len(requests):,} requests for {len(set(requests)):,} addresses, round robin, nothing cached yet")
    scene.forget_calls()
    first = stage.timed["nothing cached yet"] = await traffic.locate(requests)
    calls = scene.calls()
    asked = defaultdict(set)
    for answer in first:
        asked[answer.instance].add(answer.path)
    separate = sum(len(addresses) for addresses in asked.values())
    stage.find(
        "one origin call per address for all instances",
        f"{calls['total']:,} calls for {len(set(requests)):,} addresses; separate in-memory caches: {separate:,}",
        held=sorted(calls["by_address"]) == sorted(set(requests)) and set(calls["by_address"].values()) == {1},
    )
    bodies = defaultdict(set)
    for answer in first:
        bodies[answer.path].add(repr(answer.body))
    same = all(len(each) == 1 for each in bodies.values())
    stage.find(
        "every request answered, by every instance alike",
        f"{failures(first)}; {'the same answers' if same else 'DIFFERENT answers'}",
        held=same and all(answer.ok for answer in first),
    )
    # One at a time to each instance: these times should show the server, not a queue in front of it.
    again = await traffic.locate(requests[-_AGAIN:], at_once=len(traffic.instances))
    stage.timed["all cached"] = again
    stage.find(
        "asked again, the origin is left alone",
        f"{failures(again)}; {scene.calls()['total'] - calls['total']} calls",
        held=scene.calls()["total"] == calls["total"] and all(answer.ok for answer in again),
    )


async def changed_setting(stage: Stage) -> None:
    """Let one instance change a setting that all have in memory; the others should see it at once."""
    path, names = "/countries/acme", list(stage.traffic.instances)
    stage.say(f"a setting that all instances cache, changed {_ROUNDS} times, by each in turn")
    await stage.traffic.request(names[0], path, method="PUT", json=["AA"])
    await stage.traffic.from_all(path)
    await Countries(stage.scene.database).write("acme", ["ZZ"])
    cached = [answer.body.get("countries") == ["AA"] for answer in (await stage.traffic.from_all(path)).values()]
    stage.find(
        "the setting is answered from memory",
        f"changed behind the caches' back, {sum(cached)} of {len(cached)} did not notice",
        held=all(cached),
    )
    at_first, asked, slowest = 0, 0, 0.0
    for number in range(_ROUNDS):
        codes = ["DE", chr(ord("A") + number) * 2]
        change = await stage.traffic.request(names[number % len(names)], path, method="PUT", json=codes)
        changed = change.began + change.seconds
        delays = await asyncio.gather(*(_seen_after(stage, name, path, codes, changed) for name in names))
        asked += len(names)
        at_first += sum(tries == 1 for tries, _ in delays)
        slowest = max(slowest, *(delay for _, delay in delays))
        if slowest > _AT_ONCE:
            break
    stage.find(
        "a change is seen by the others at once",
        f"{at_first} of {asked} first requests after it had it; all within {milliseconds(slowest)}",
        held=slowest <= _AT_ONCE,
    )


async def _seen_after(stage: Stage, name: str, path: str, codes: list[str], changed: float) -> tuple[int, float]:
    """Ask until the new value comes: how many requests that took, and when the last was sent, after the change."""
    tries = 0
    while True:
        tries += 1
        answer = await stage.traffic.request(name, path)
        waited = answer.began - changed
        if waited > _GIVE_UP or (answer.ok and answer.body["countries"] == codes):
            return tries, waited


async def origin_without_calls(stage: Stage) -> None:
    """Let the origin run into its limit: an old answer where there is one, else a clear error."""
    scene = stage.scene
    stage.say(
        f"an origin that answers {LIMIT} calls a minute, and an instance whose entries are fresh for {_SHORT_TTL:g} s"
    )
    new = scene.new_addresses(LIMIT + _BEYOND)
    with scene.one_more("d", GEO_TTL=f"{_SHORT_TTL}s", CACHE_PREFIX="geo-limit") as one, scene.limited_origin(LIMIT):
        async with Traffic({one.name: one.url}) as traffic:
            answers = await traffic.locate(new)
            answered, refused = [a for a in answers if a.ok], [a for a in answers if not a.ok]
            await asyncio.sleep(_SHORT_TTL)  # now all that was answered is stale
            stale = await traffic.locate([answer.path.rpartition("/")[2] for answer in answered])
        calls = scene.calls()["total"]
    clear = sum(_is_clear(answer) for answer in refused)
    stage.find(
        "over the limit and nothing cached: a clear error",
        f"{len(answered)} answered, {clear} of {len(refused)} others are 503 with a reason and Retry-After",
        held=(len(answered), clear, len(refused)) == (LIMIT, _BEYOND, _BEYOND),
    )
    stage.find(
        "over the limit and an old answer there: the old answer",
        f"{failures(stale)}; the origin answered {calls - LIMIT} more calls",
        held=all(answer.ok for answer in stale) and calls == LIMIT,
    )


def _is_clear(answer: Answer) -> bool:
    wait = answer.headers.get("retry-after", "")
    return (
        answer.status == 503  # noqa: PLR2004 - the HTTP status that the README promises
        and answer.body["error"] == "origin_busy"
        and wait.isdecimal()
        and 1 <= int(wait) <= 60  # noqa: PLR2004 - the origin's minute
    )
