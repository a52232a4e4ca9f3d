"""The story while all is well: one call per address, then none at all."""

from collections import defaultdict

from .answer import failures
from .stage import Stage

__all__ = ["asked_again", "one_call_per_address"]


async def one_call_per_address(stage: Stage, seconds: float) -> None:
    """Send addresses round robin; the origin should hear of each once, whoever was asked."""
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
    """Ask for the same addresses again, each from whoever's turn it is: the origin should not notice."""
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
